package netpoll

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Generation 0 tells the loop's own descriptors from connections.
const (
	wakeID       ID = 0
	timerID         = ID(1) << 32
	transientsID    = ID(2) << 32
)

// epollSet is one of the two epolls of a loop. That of transients is watched by the other,
// which reports it as long as any of them is ready.
type epollSet uint8

const (
	established epollSet = iota
	transients
)

// maxEvents is how many events one wait returns at most.
const maxEvents = 256

// poller is the epolls of one loop, with the eventfd that wakes it and the timerfd
// that ticks. Only wake may be called from another goroutine.
//
// It waits for the epoll through Go's runtime poller, so that an idle loop holds no
// thread. epoll_wait is called without a timeout: it never blocks, and can be a raw
// system call.
type poller struct {
	file   *os.File // owns the epoll descriptor of the established ones
	raw    syscall.RawConn
	epfds  [2]int // by epollSet
	wakefd int
	tickfd int
	poll   func(uintptr) bool // fills events; made once, so that waiting allocates nothing
	n      int
	errno  syscall.Errno
	events [maxEvents]unix.EpollEvent
	others [transientsPerTurn]unix.EpollEvent
}

func newPoller() (*poller, error) {
	p := &poller{epfds: [2]int{-1, -1}, wakefd: -1, tickfd: -1}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err = unix.SetNonblock(epfd, true); err != nil { // makes NewFile use the runtime poller
		unix.Close(epfd)
		return nil, fmt.Errorf("epoll non-blocking: %w", err)
	}
	p.epfds[established] = epfd
	p.file = os.NewFile(uintptr(epfd), "epoll")
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.watchOwn()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.poll = func(uintptr) bool {
		p.n, p.errno = epollWait(epfd, p.events[:])
		return p.n > 0 || p.errno != 0
	}
	return p, nil
}

// watchOwn creates the epoll of transients, the eventfd and the timerfd. The eventfd is
// edge-triggered: every write is an edge, so it need not be read.
func (p *poller) watchOwn() (err error) {
	if p.epfds[transients], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if p.tickfd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	second := unix.Timespec{Sec: 1}
	if err = unix.TimerfdSettime(p.tickfd, 0, &unix.ItimerSpec{Interval: second, Value: second}, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	for _, own := range []struct {
		fd     int
		events uint32
		id     ID
	}{
		{p.wakefd, unix.EPOLLIN | unix.EPOLLET, wakeID},
		{p.tickfd, unix.EPOLLIN, timerID},
		{p.epfds[transients], unix.EPOLLIN, transientsID},
	} {
		if errno := p.control(established, unix.EPOLL_CTL_ADD, own.fd, own.events, own.id); errno != 0 {
			return fmt.Errorf("epoll_ctl: %w", errno)
		}
	}
	return nil
}

// wait returns the events that have come. If block is true, it waits for the first.
func (p *poller) wait(block bool) ([]unix.EpollEvent, error) {
	if block {
		if err := p.raw.Read(p.poll); err != nil {
			return nil, err
		}
	} else {
		p.poll(0)
	}
	if p.errno != 0 && p.errno != unix.EINTR {
		return nil, fmt.Errorf("epoll_wait: %w", p.errno)
	}
	return p.events[:max(p.n, 0)], nil
}

// transients returns events of transients that have come, at most transientsPerTurn. It
// never blocks.
func (p *poller) transients() []unix.EpollEvent {
	n, _ := epollWait(p.epfds[transients], p.others[:]) // EINTR: wait reports them again
	return p.others[:n]
}

// wake makes wait return.
func (p *poller) wake() {
	one := uint64(1)
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.wakefd), uintptr(unsafe.Pointer(&one)), 8)
}

// ticks returns how many seconds the timer has counted since the last call.
func (p *poller) ticks() uint32 {
	var n uint64
	got, _, _ := syscall.RawSyscall(unix.SYS_READ, uintptr(p.tickfd), uintptr(unsafe.Pointer(&n)), 8)
	if got != 8 {
		return 0
	}
	return uint32(n)
}

// control is epoll_ctl with an ID as the event's 64-bit data.
func (p *poller) control(set epollSet, op, fd int, events uint32, id ID) syscall.Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epfds[set]), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return errno
}

// eventID is the ID that control attached.
func eventID(ev *unix.EpollEvent) ID {
	return ID(uint32(ev.Fd)) | ID(uint32(ev.Pad))<<32
}

func (p *poller) close() {
	p.file.Close()
	for _, fd := range []int{p.epfds[transients], p.wakefd, p.tickfd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func epollWait(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
