package sock

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller is an epoll whose events carry the index of a connection in Fd. It is
// for one goroutine.
type Poller struct {
	fd     int
	events [512]unix.EpollEvent
}

// NewPoller opens one, which must be closed.
func NewPoller() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &Poller{fd: fd}, nil
}

// Close closes the epoll, and none of the sockets.
func (p *Poller) Close() { unix.Close(p.fd) }

// Add watches a socket for events, a mask of unix.EPOLL….
func (p *Poller) Add(fd int, index int32, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: index})
}

// Modify changes what is watched for.
func (p *Poller) Modify(fd int, index int32, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: index})
}

// Poll returns the events that are there, without waiting. The scheduler is not
// told of the call, since it cannot block.
func (p *Poller) Poll() ([]unix.EpollEvent, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), 0, 0, 0)
	return p.result(n, errno)
}

// Wait returns events, waiting for the first one until timeout.
func (p *Poller) Wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	ts := unix.NsecToTimespec(int64(max(timeout, 0)))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	return p.result(n, errno)
}

func (p *Poller) result(n uintptr, errno unix.Errno) ([]unix.EpollEvent, error) {
	switch errno {
	case 0:
		return p.events[:n], nil
	case unix.EINTR:
		return nil, nil
	default:
		return nil, errno
	}
}

// Read is for sockets that never block. It returns 0 and no error at the end.
func Read(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Write is for sockets that never block. It uses send, which can do without SIGPIPE.
func Write(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// WouldBlock tells the one error of Read and Write that is none.
func WouldBlock(err error) bool { return errors.Is(err, unix.EAGAIN) }
