package exchange

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pending reports whether a read of a socket would not have to wait: for bytes, for the end
// of the stream or for an error.
func Pending(fd uintptr) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno != unix.EAGAIN && errno != unix.EINTR
}
