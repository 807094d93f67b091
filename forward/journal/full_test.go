package journal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alone runs the test in a process of its own and reports whether this is that one:
// the limit of limitFiles is for all files of a process, and go test's own are not to
// meet it.
func alone(t *testing.T) bool {
	t.Helper()
	const mark = "JOURNAL_TEST_ALONE"
	if os.Getenv(mark) != "" {
		return true
	}
	test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	test.Env = append(os.Environ(), mark+"=1")
	if output, err := test.CombinedOutput(); err != nil || bytes.Contains(output, []byte("no tests to run")) {
		t.Errorf("%v\n%s", err, output)
	}
	return false
}

// limitFiles makes writes beyond size bytes of a file fail, as on a full disk,
// until the function that it returns is called.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(lift)
	return lift
}

func TestAFullDiskHoldsUpNobodyAndIsMadeUpFor(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	j, log := journal(t, dir)
	j.opened("before")
	info, err := os.Stat(lastSegment(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, uint64(info.Size())+40_000) // so that it ends within a page, and a record
	want := []string{"before"}
	var long [1000]byte
	for i := range 100 {
		id := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("x"), i+len(long)))
		j.opened(id)
		want = append(want, id)
	}
	j.Closed([]byte(want[1]))
	if n := log.count("cannot be written"); n != 1 {
		t.Errorf("%d complaints, want 1", n)
	}
	lift()
	deadline := time.Now().Add(30 * time.Second)
	for log.count("can be written again") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("there is room again, and it did not notice")
		}
		j.opened("after") // gives the writer something to do
	}
	dir = crashed(t, dir)
	j, _ = journal(t, dir)
	wantLost(t, j, append(append(want[:1:1], want[2:]...), "after")...)
}

func TestAStartOnAFullDiskLosesNothing(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	j, _ := journal(t, dir)
	j.opened("a")
	j.opened("b")
	dir = crashed(t, dir)
	lift := limitFiles(t, 1)
	_, log := journal(t, dir)
	if log.count("cannot be written") == 0 {
		t.Error("no complaint")
	}
	lift()
	j, _ = journal(t, crashed(t, dir))
	wantLost(t, j, "a", "b")
}
