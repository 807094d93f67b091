package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxWrite caps the bytes of one write: a raw system call keeps its processor
// from the scheduler for as long as the kernel copies.
const maxWrite = 256 << 10

// readRaw reads from a non-blocking socket. n is 0 at the end of the stream. recv
// and send take the kernel a few per cent less than read and write, which pass
// through its file layer.
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

// unsent is how much of what the kernel has taken the peer has not acknowledged.
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

// closeSocket closes fd. With reset the peer gets an RST and the kernel forgets
// at once what was not delivered.
func closeSocket(fd int32, reset bool) {
	if reset {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// wouldBlock reports an errno that only means "not now".
func wouldBlock(e syscall.Errno) bool {
	return e == unix.EAGAIN || e == unix.EINTR
}
