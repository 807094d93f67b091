//go:build !race

package exchange

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive reads from a non-blocking socket.
func Receive(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	return transfer(unix.SYS_READ, fd, p)
}

// send writes to a non-blocking socket, and returns how much that has taken.
func send(fd uintptr, p []byte) (n int, errno syscall.Errno) { return transfer(unix.SYS_WRITE, fd, p) }

// transfer makes a system call until no signal interrupts it.
func transfer(call, fd uintptr, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
