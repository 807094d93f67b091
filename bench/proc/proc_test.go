package proc

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spin uses d of this thread's processor time.
func spin(t *testing.T, d time.Duration) {
	t.Helper()
	start, err := ThreadCPU(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for {
		now, err := ThreadCPU(unix.Gettid())
		if err != nil {
			t.Fatal(err)
		}
		if now-start >= d {
			return
		}
	}
}

func TestTheProcessClockCountsWhatItsThreadsUse(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	spin(t, 20*time.Millisecond)
	after, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
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
	if _, _, err := Switches(none); err == nil {
		t.Error("Switches: no error")
	}
}

func TestMemoryGrowsByWhatIsTouched(t *testing.T) {
	before, err := MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	block, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(block)
	for i := 0; i < size; i += os.Getpagesize() {
		block[i] = 1
	}
	after, err := MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
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
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	after, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after != before+2 {
		t.Errorf("%d descriptors with a pipe, %d without", after, before)
	}
}

func TestColonFieldsTakeNumbersAndTurnKilobytesIntoBytes(t *testing.T) {
	got := colonFields("Name:\tserver\nVmRSS:\t  1740 kB\nThreads:\t7\n0-1 ---p [rollup]\nEmpty:\n")
	if len(got) != 2 || got["VmRSS"] != 1740*1024 || got["Threads"] != 7 {
		t.Errorf("got %v", got)
	}
}

func TestSocketPagesAreThoseOfTCP(t *testing.T) {
	const sockstat = "sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 199\nUDP: inuse 0 mem 3\n"
	if got := tcpPages(sockstat); got != 199 {
		t.Errorf("got %d", got)
	}
	if got := tcpPages("sockets: used 16\n"); got != 0 {
		t.Errorf("without a TCP line: got %d", got)
	}
}

func TestUsageOfTheMachineIsBusyIdleAndStolen(t *testing.T) {
	got, err := parseStat("cpu  100 10 50 1000 5 1 2 7 0 0\ncpu0 1 2 3\n")
	want := Usage{Busy: 163 * tick, Idle: 1005 * tick, Steal: 7 * tick}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if total := got.Sub(Usage{Busy: 63 * tick}).Total(); total != 1112*tick {
		t.Errorf("total %v", total)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if _, err := parseStat(bad); !errors.Is(err, errStat) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestThisMachineIsDescribed(t *testing.T) {
	m := ThisMachine()
	if m.Kernel == "" || m.CPUs < 1 || m.Memory == 0 || m.Go == "" || m.Sysctls["net.core.somaxconn"] == "" {
		t.Errorf("got %+v", m)
	}
	if got := cpuModel("processor : 0\nmodel name\t: Model One  \nmodel name\t: Two\n"); got != "Model One" {
		t.Errorf("model %q", got)
	}
	if strings.ContainsRune(m.Kernel, 0) {
		t.Errorf("kernel %q", m.Kernel)
	}
}
