package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

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

// ThreadWait is the time that a thread of this process has spent ready to run
// but without a processor. It is 0 where the kernel does not count it.
func ThreadWait(tid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", tid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	ns, _ := strconv.ParseInt(fields[1], 10, 64)
	return time.Duration(ns)
}

// Switches is how often the threads that process pid has now were taken off
// their processor: because they slept, and because others wanted it.
func Switches(pid int) (voluntary, involuntary uint64, err error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("listing threads: %w", err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(dir + "/" + task.Name() + "/status")
		if err != nil {
			continue // the thread has ended since
		}
		fields := colonFields(string(text))
		voluntary += fields["voluntary_ctxt_switches"]
		involuntary += fields["nonvoluntary_ctxt_switches"]
	}
	return voluntary, involuntary, nil
}
