package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"ws-gateway/forward/callback"
)

func TestEveryStatusHasItsOutcome(t *testing.T) {
	for status := 100; status <= 999; status++ {
		want := Rejected
		switch {
		case status/100 == 2:
			want = Delivered
		case status/100 == 5, status == 408, status == 425, status == 429:
			want = Unavailable
		}
		if got := classify(status, nil); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

func TestEveryErrorHasItsOutcome(t *testing.T) {
	dial := func(err error) error { return &callback.DialError{Err: &net.OpError{Op: "dial", Err: err}} }
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{dial(syscall.ECONNREFUSED), Unreachable},
		{dial(syscall.EHOSTUNREACH), Unreachable},
		{dial(&net.DNSError{IsNotFound: true}), Unreachable},
		{dial(context.DeadlineExceeded), Unreachable},
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), Starved},
		{dial(syscall.EADDRNOTAVAIL), Starved},
		{dial(context.Canceled), CutOff},
		{callback.ErrInterrupted, CutOff},
		{os.ErrDeadlineExceeded, TimedOut},
		{fmt.Errorf("reading: %w", os.ErrDeadlineExceeded), TimedOut},
		{callback.ErrNoAnswer, Broken},
		{io.ErrUnexpectedEOF, Broken},
		{syscall.ECONNRESET, Broken},
		{errors.New("malformed"), Broken},
	} {
		if got := classify(0, c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestWhatCanEndDifferentlyIsRetried(t *testing.T) {
	for o := range outcomes {
		if want := o != Delivered && o != Rejected; o.retryable() != want {
			t.Errorf("%v: %v", o, o.retryable())
		}
		if o.String() == "" || o.String() == "unknown" {
			t.Errorf("outcome %d has no name", o)
		}
	}
}

func TestBackoffDoublesFromAHundredMillisecondsToFiveSeconds(t *testing.T) {
	lowest := &policy{random: func() float64 { return 0 }}
	highest := &policy{random: func() float64 { return 1 }} // never quite
	for i, want := range []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000} {
		want *= time.Millisecond
		if low, high := lowest.backoff(i+1), highest.backoff(i+1); low != want/2 || high != want {
			t.Errorf("after %d attempts: %v to %v, want %v to %v", i+1, low, high, want/2, want)
		}
	}
	for _, n := range []int{-1, 0, 1 << 40} {
		if d := lowest.backoff(n); d < minBackoff || d > maxBackoff {
			t.Errorf("after %d attempts: %v", n, d)
		}
	}
}

func TestRetriesKeepWithinTheWindow(t *testing.T) {
	p := &policy{random: func() float64 { return 0 }}
	const s = time.Second
	for _, c := range []struct {
		name                    string
		now, window, retryAfter time.Duration
		attempts                int
		due                     time.Duration
		ok                      bool
	}{
		{"back-off", 10 * s, 60 * s, 0, 1, 10*s + 100*time.Millisecond, true},
		{"the wish of the app", 10 * s, 60 * s, 7 * s, 1, 17 * s, true},
		{"which may be longer than any back-off", 10 * s, 60 * s, 30 * s, 9, 40 * s, true},
		{"but not than the window", 10 * s, 60 * s, 3600 * s, 1, 60 * s, true},
		{"the last attempt is at its end", 59 * s, 60 * s, 0, 9, 60 * s, true},
		{"there is none after that", 60 * s, 60 * s, 0, 9, 0, false},
	} {
		due, ok := p.retryAt(c.now, c.window, c.attempts, c.retryAfter)
		if due != c.due || ok != c.ok {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, due, ok, c.due, c.ok)
		}
	}
	p.deadline.Store(int64(20 * s))
	if due, _ := p.retryAt(10*s, 60*s, 1, 30*s); due != 15*s {
		t.Errorf("with 10 s to go: at %v, want 15s", due)
	}
	if due, _ := p.retryAt(20*s-minBackoff, 60*s, 1, 30*s); due != 60*s && due < 49*s {
		t.Errorf("with no time to go: at %v, want it to stay", due)
	}
}
