package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxWrite is how many bytes one write takes at most: during a raw system call the
// scheduler cannot use its processor for anything else.
const maxWrite = 256 << 10

// readRaw reads from a non-blocking socket. n is 0 at the end of the stream. recv
// and send are a few per cent cheaper than read and write, which pass through the
// kernel's file layer.
func readRaw(fd int32, b []byte) (n int, errno syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

// writeRaw writes to a non-blocking socket, at most maxWrite bytes.
func writeRaw(fd int32, b []byte) (n int, errno syscall.Errno) {
	b = b[:min(len(b), maxWrite)]
	r, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

// unsent is how many bytes the kernel has taken and the peer has not acknowledged.
func unsent(fd int32) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

func shutdownWrite(fd int32) {
	syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// closeSocket closes fd. With reset, the peer gets an RST, and the kernel throws
// away what it has not delivered.
func closeSocket(fd int32, reset bool) {
	if reset {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// hungUp reports whether the peer has ended a connection, or it is broken, whatever there
// may still be to read.
func hungUp(fd int32) bool {
	p := unix.PollFd{Fd: fd, Events: unix.POLLRDHUP}
	var atOnce unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
	return errno == 0 && n > 0
}

// wouldBlock reports whether e only means that the call has to be repeated later.
func wouldBlock(e syscall.Errno) bool {
	return e == unix.EAGAIN || e == unix.EINTR
}
