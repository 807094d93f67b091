package logqueue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

func told(lines uint64) []byte { return fmt.Appendf(nil, "%d missing\n", lines) }

// reader is a file whose writes wait, fail or are cut short as a test wants it.
type reader struct {
	gate  chan struct{} // a write takes a place; closed: all may
	begun chan struct{} // nil, or told of each write that begins, if it has a place left

	mu   sync.Mutex
	got  bytes.Buffer
	fail func(p []byte) (int, error) // nil: none does
}

func (r *reader) Write(p []byte) (int, error) {
	select {
	case r.begun <- struct{}{}:
	default:
	}
	<-r.gate
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		n, err := r.fail(p)
		r.got.Write(p[:n])
		return n, err
	}
	return r.got.Write(p)
}

func (r *reader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

func (r *reader) failing(fail func(p []byte) (int, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func TestNobodyWaitsForAReaderThatHasStoppedAndItIsToldWhatItMissed(t *testing.T) {
	out := &reader{gate: make(chan struct{}), begun: make(chan struct{}, 1)}
	q := New(out, told)
	line := func(i int) string { return fmt.Sprintf("%07d%s\n", i, strings.Repeat("x", 1016)) }
	const lines = 4 * Size / 1024
	const kept = 1 + Size/1024 // the one being written, and those that wait
	var want strings.Builder
	for i := range lines {
		if n, err := q.Write([]byte(line(i))); n != 1024 || err != nil {
			t.Fatal(n, err)
		}
		if i == 0 {
			<-out.begun // from here on nothing is taken out of the queue
		}
		if i < kept {
			want.WriteString(line(i))
		}
	}
	if lost := q.Lost(); lost != lines-kept {
		t.Errorf("%d lines are lost, want %d of %d", lost, lines-kept, lines)
	}
	if q.Flush(time.Millisecond) {
		t.Error("flushed to a reader that does not read")
	}
	fmt.Fprintf(&want, "%d missing\n", lines-kept)
	close(out.gate)
	if !q.Flush(patience) {
		t.Fatal("not flushed")
	}
	q.Write([]byte("after\n"))
	want.WriteString("after\n")
	if !q.Close(patience) {
		t.Fatal("not closed")
	}
	if got := out.text(); got != want.String() {
		t.Errorf("%d bytes, want %d; it ends with %q", len(got), want.Len(), got[max(0, len(got)-60):])
	}
}

// The queue may be emptied at any time, also after lines have been lost: then others are
// taken again, and the loss is told between them.
func TestALossIsToldInItsPlace(t *testing.T) {
	out := &reader{gate: make(chan struct{})}
	close(out.gate)
	q := New(out, told)
	const lines = 8 * Size / 1024
	for i := range lines {
		fmt.Fprintf(q, "%07d%s\n", i, strings.Repeat("x", 1016))
	}
	if !q.Close(patience) {
		t.Fatal("not closed")
	}
	next, lost := 0, 0
	for got := range strings.Lines(out.text()) {
		var n int
		if _, err := fmt.Sscanf(got, "%d missing\n", &n); err == nil {
			next, lost = next+n, lost+n
		} else if _, err := fmt.Sscanf(got, "%07dx", &n); err != nil || n != next {
			t.Fatalf("%.20q where line %d is due", got, next)
		} else {
			next++
		}
	}
	if next != lines || lost != int(q.Lost()) {
		t.Errorf("%d lines are told of, want %d; %d are said to be lost, and %d are", next, lines, lost, q.Lost())
	}
}

func TestWhatAFailedWriteLosesIsCountedAndToldOnceThereIsRoom(t *testing.T) {
	out := &reader{gate: make(chan struct{})}
	close(out.gate)
	q := New(out, told)
	out.failing(func(p []byte) (int, error) { return min(3, len(p)), syscall.ENOSPC })
	q.Write([]byte("one\ntwo\n"))
	if !q.Flush(patience) {
		t.Fatal("not flushed")
	}
	out.failing(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	q.Write([]byte("three\n"))
	if !q.Flush(patience) {
		t.Fatal("not flushed")
	}
	out.failing(nil)
	q.Write([]byte("four\n"))
	if !q.Close(patience) {
		t.Fatal("not closed")
	}
	if got := out.text(); got != "one\n3 missing\nfour\n" || q.Lost() != 3 {
		t.Errorf("got %q, %d lost", got, q.Lost())
	}
}

func TestLinesOfManyKeepTheirOrder(t *testing.T) {
	out := &reader{gate: make(chan struct{})}
	close(out.gate)
	q := New(out, told)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 500 {
				fmt.Fprintf(q, "%d %d\n", w, i)
			}
		})
	}
	all.Wait()
	if !q.Close(patience) {
		t.Fatal("not closed")
	}
	q.Write([]byte("late\n"))
	var next [8]int
	for line := range strings.Lines(out.text()) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil || i != next[w] {
			t.Fatalf("%q where %d is due", line, next[w])
		}
		next[w]++
	}
	if q.Lost() != 1 {
		t.Errorf("%d lost, want the one that came after the end", q.Lost())
	}
}

// A shell that has made the terminal it shares with us non-blocking, for example.
func TestAFileThatOthersHaveMadeNonBlockingIsWaitedFor(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	in, out := os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "out")
	if err := unix.SetNonblock(fds[1], true); err != nil { // after NewFile has looked
		t.Fatal(err)
	}
	q := New(out, told)
	want := strings.Repeat(strings.Repeat("x", 999)+"\n", 500) // more than a pipe holds
	q.Write([]byte(want))
	got := make([]byte, 0, len(want))
	buf := make([]byte, 4096)
	for len(got) < len(want) {
		n, err := in.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != want || q.Lost() != 0 {
		t.Errorf("%d bytes of %d, %d lost", len(got), len(want), q.Lost())
	}
	if flags, err := unix.FcntlInt(uintptr(fds[1]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %x, %v: they are not ours to change", flags, err)
	}
	q.Write([]byte(want))
	in.Close() // while it waits
	if !q.Close(patience) {
		t.Error("it waits for a reader that has gone")
	}
	if err := errors.Join(out.Close()); err != nil {
		t.Error(err)
	}
}

func TestAWriteAllocatesNothing(t *testing.T) {
	out := &reader{gate: make(chan struct{})}
	q := New(out, told)
	line := []byte("a line\n")
	for range 3 * Size / len(line) { // until both buffers are as large as they get
		q.Write(line)
	}
	if n := testing.AllocsPerRun(1000, func() { q.Write(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	close(out.gate)
	q.Close(patience)
}
