//go:build race

package exchange

import "syscall"

// The race detector knows of package syscall's reads and writes that what happened before
// one end of a connection wrote happened before the other end read. It does not know it of
// raw system calls.

// Receive reads from a non-blocking socket.
func Receive(fd uintptr, p []byte) (n int, errno syscall.Errno) { return transfer(syscall.Read, fd, p) }

// send writes to a non-blocking socket, and returns how much that has taken.
func send(fd uintptr, p []byte) (n int, errno syscall.Errno) { return transfer(syscall.Write, fd, p) }

// transfer makes a system call until no signal interrupts it.
func transfer(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (n int, errno syscall.Errno) {
	for {
		n, err := call(int(fd), p)
		switch errno, _ := err.(syscall.Errno); errno {
		case 0:
			return n, 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
