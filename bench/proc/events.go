package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events that a Counter counts.
const (
	AnySyscall = "raw_syscalls/sys_enter"
	Futex      = "syscalls/sys_enter_futex"
	EpollWait  = "syscalls/sys_enter_epoll_pwait" // Go's and the gateway's; epoll_wait is another
)

// ErrNotPermitted is wrapped by the error of Count if the kernel lets this user
// count nothing: it wants root, or CAP_PERFMON and a readable tracefs.
var ErrNotPermitted = errors.New("counting the kernel's events is not permitted")

// Counter counts events of one kind in a process. Counting in the kernel costs
// the process some ten nanoseconds an event, where strace stops it for each.
type Counter struct{ fds []int }

// Count begins to count an event in the threads that process pid has, and in
// those that they start from now on. The Counter must be closed.
func Count(pid int, event string) (*Counter, error) {
	text, err := os.ReadFile("/sys/kernel/tracing/events/" + event + "/id")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the number of %s: %w", event, err)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("listing threads: %w", err)
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Bits: unix.PerfBitInherit}
	attr.Size = uint32(unsafe.Sizeof(attr))
	c := new(Counter)
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		switch {
		case errors.Is(err, unix.ESRCH): // the thread has ended since
		case err != nil:
			c.Close()
			return nil, fmt.Errorf("%w: %w", ErrNotPermitted, err)
		default:
			c.fds = append(c.fds, fd)
		}
	}
	return c, nil
}

// Total is how many events there were since Count.
func (c *Counter) Total() (total uint64, err error) {
	var b [8]byte
	for _, fd := range c.fds {
		if _, err := unix.Read(fd, b[:]); err != nil {
			return 0, fmt.Errorf("reading a counter: %w", err)
		}
		total += binary.NativeEndian.Uint64(b[:])
	}
	return total, nil
}

// Close ends the counting.
func (c *Counter) Close() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	c.fds = nil
}
