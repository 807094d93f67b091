package proc

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Clock ids of other processes and threads, as clock_getcpuclockid(3) makes
// them: the complement of the id above three bits of kind.
const (
	schedClock  = 2
	threadClock = 4
)

// CPU is the processor time that process pid has used, in user and kernel mode
// together, threads that have ended included. Its resolution is nanoseconds,
// where /proc/PID/stat counts hundredths of a second.
func CPU(pid int) (time.Duration, error) {
	return clock(int32(^pid)<<3 | schedClock)
}

// ThreadCPU is the processor time of one thread of this process.
func ThreadCPU(tid int) (time.Duration, error) {
	return clock(int32(^tid)<<3 | schedClock | threadClock)
}

func clock(id int32) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0, fmt.Errorf("reading CPU clock %d: %w", id, err)
	}
	return time.Duration(ts.Nano()), nil
}

// fs is /proc. Where it is missing every use of it fails.
var fs, _ = procfs.NewDefaultFS()

// ThreadWait is the time that a thread of this process has spent ready to run
// but without a processor. It is 0 if the kernel does not count it.
func ThreadWait(tid int) time.Duration {
	thread, err := fs.Thread(os.Getpid(), tid)
	if err != nil {
		return 0
	}
	s, err := thread.Schedstat()
	if err != nil {
		return 0
	}
	return time.Duration(s.WaitingNanoseconds)
}

// Sleeps is how often the threads that process pid has now have given up their
// processor because they had nothing to do: their voluntary context switches.
func Sleeps(pid int) (n uint64, err error) {
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, fmt.Errorf("listing threads: %w", err)
	}
	for _, thread := range threads {
		if status, err := thread.NewStatus(); err == nil { // or it has ended since
			n += status.VoluntaryCtxtSwitches
		}
	}
	return n, nil
}

// Calls counts system calls of a process.
type Calls struct {
	Reads  uint64 // read(2) and its variants, of sockets, files, eventfds and timers alike
	Writes uint64 // the same of write(2)
}

// CallsOf reads how many read and write calls process pid has made. The kernel
// counts them anyway, so that looking costs the process nothing and needs no
// privilege, where tracing needs one or slows the process down. send, recv,
// epoll_wait and futex are not counted.
func CallsOf(pid int) (Calls, error) {
	p, err := fs.Proc(pid)
	if err != nil {
		return Calls{}, fmt.Errorf("counting system calls: %w", err)
	}
	io, err := p.IO()
	if err != nil {
		return Calls{}, fmt.Errorf("counting system calls: %w", err)
	}
	return Calls{Reads: io.SyscR, Writes: io.SyscW}, nil
}
