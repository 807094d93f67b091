package proc

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// read reads a figure of a process or thread that is there.
func read[T any](t *testing.T, figure func(id int) (T, error), id int) T {
	t.Helper()
	v, err := figure(id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// spin uses d of this thread's processor time.
func spin(t *testing.T, d time.Duration) {
	t.Helper()
	start := read(t, ThreadCPU, unix.Gettid())
	for used := time.Duration(0); used < d; {
		used = read(t, ThreadCPU, unix.Gettid()) - start
	}
}

func TestTheProcessClockCountsWhatItsThreadsUse(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := read(t, CPU, os.Getpid())
	spin(t, 20*time.Millisecond)
	after := read(t, CPU, os.Getpid())
	if used := after - before; used < 20*time.Millisecond {
		t.Errorf("the process used %v, one of its threads 20ms", used)
	}
}

func TestAProcessThatIsNotThereHasNoFigures(t *testing.T) {
	const none = 1<<22 + 1 // above the largest pid that the kernel gives
	if _, err := CPU(none); err == nil {
		t.Error("CPU: no error")
	}
	if _, err := MemoryOf(none); err == nil {
		t.Error("MemoryOf: no error")
	}
	if _, err := Descriptors(none); err == nil {
		t.Error("Descriptors: no error")
	}
	if _, err := CallsOf(none); err == nil {
		t.Error("CallsOf: no error")
	}
	if _, err := Sleeps(none); err == nil {
		t.Error("Sleeps: no error")
	}
}

func TestMemoryGrowsByWhatIsTouched(t *testing.T) {
	before := read(t, MemoryOf, os.Getpid())
	const size = 32 << 20
	block, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(block)
	for i := 0; i < size; i += os.Getpagesize() {
		block[i] = 1
	}
	after := read(t, MemoryOf, os.Getpid())
	for name, grown := range map[string]uint64{
		"Resident":     after.Resident - before.Resident,
		"Proportional": after.Proportional - before.Proportional,
		"Anonymous":    after.Anonymous - before.Anonymous,
		"VmRSS":        after.VmRSS - before.VmRSS,
	} {
		if grown < size-4<<20 || grown > size+32<<20 {
			t.Errorf("%s grew by %d, touched were %d", name, grown, size)
		}
	}
}

func TestDescriptorsAreCounted(t *testing.T) {
	before := read(t, Descriptors, os.Getpid())
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	after := read(t, Descriptors, os.Getpid())
	if after != before+2 {
		t.Errorf("%d descriptors with a pipe, %d without", after, before)
	}
}

func TestTheKernelAndTheMachineHaveMemory(t *testing.T) {
	k, err := KernelMemory()
	available, err2 := AvailableMemory()
	if err != nil || err2 != nil || k.Slab == 0 || available == 0 {
		t.Errorf("%+v, %d available, %v, %v", k, available, err, err2)
	}
}

func TestUsageOfTheMachineIsBusyIdleAndStolen(t *testing.T) {
	got := usage(procfs.CPUStat{User: 1, Nice: 0.1, System: 0.5, Idle: 10, Iowait: 0.05, IRQ: 0.01, SoftIRQ: 0.02, Steal: 0.07})
	want := Usage{Busy: 1630 * time.Millisecond, Idle: 10050 * time.Millisecond, Steal: 70 * time.Millisecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if total := got.Sub(Usage{Busy: 630 * time.Millisecond}).Total(); total != 11120*time.Millisecond {
		t.Errorf("total %v", total)
	}
	if now, err := MachineUsage(); err != nil || now.Busy <= 0 || now.Total() <= now.Busy {
		t.Errorf("this machine: %+v, %v", now, err)
	}
}

func TestThisMachineIsDescribed(t *testing.T) {
	m := ThisMachine()
	if m.Kernel == "" || m.CPUs < 1 || m.Memory == 0 || m.Go == "" || m.Sysctls["net.core.somaxconn"] == "" {
		t.Errorf("got %+v", m)
	}
	if strings.ContainsRune(m.Kernel, 0) {
		t.Errorf("kernel %q", m.Kernel)
	}
}
