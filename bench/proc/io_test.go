package proc

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// calls makes so many reads and writes on a pipe.
func calls(t *testing.T, n int) {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	b := []byte{1}
	for range n {
		if _, err := unix.Write(pipe[1], b); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Read(pipe[0], b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadsAndWritesAreCounted(t *testing.T) {
	before := read(t, CallsOf, os.Getpid())
	calls(t, 1_000)
	after := read(t, CallsOf, os.Getpid())
	// Reading the count, and the runtime, make some of their own.
	if r, w := after.Reads-before.Reads, after.Writes-before.Writes; r < 1_000 || r > 1_100 || w < 1_000 || w > 1_100 {
		t.Errorf("%d reads and %d writes were counted, a thousand made", r, w)
	}
}

// Without the right to count there is nothing to prove but that it is said.
func TestEventsAreCountedWhereTheKernelPermitsIt(t *testing.T) {
	c, err := Count(os.Getpid(), AnySyscall)
	if errors.Is(err, ErrNotPermitted) {
		t.Logf("not here: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	calls(t, 1_000)
	if n, err := c.Total(); err != nil || n < 2_000 || n > 20_000 {
		t.Errorf("%d system calls were counted, over two thousand made (%v)", n, err)
	}
	if _, err := Count(os.Getpid(), "no/such_event"); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("an event that does not exist: %v", err)
	}
}
