package awake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimeWithoutABeatDoesNotCount(t *testing.T) {
	const s = time.Second
	st := state{beating: true, last: 10 * s}
	for _, c := range []struct{ at, want time.Duration }{
		{10 * s, 10 * s}, {10*s + s/2, 10*s + s/2}, {11 * s, 11 * s}, {12 * s, 11 * s}, {100 * s, 11 * s},
	} {
		if got := st.at(c.at); got != c.want {
			t.Errorf("at %v it is %v, want %v", c.at, got, c.want)
		}
	}
	next, missed := st.beat(100 * s)
	if missed != 89*s || next.at(100*s) != 11*s || next.at(100*s+s/2) != 11*s+s/2 {
		t.Errorf("after a beat at 100 s %v were missed, and it is %v", missed, next.at(100*s))
	}
	if next, missed = next.beat(101 * s); missed != 0 || next.at(101*s) != 12*s {
		t.Errorf("after the next one %v were missed, and it is %v", missed, next.at(101*s))
	}
	if unheard := (&state{last: 10 * s}); unheard.at(100*s) != 100*s {
		t.Error("without beats all time counts")
	}
}

func TestTheClockRunsWithItsBeatsAndWithoutThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		time.Sleep(5 * time.Second)
		go func() {
			defer close(done)
			c.Run(ctx, func(d time.Duration) { t.Errorf("%v were missed", d) })
		}()
		time.Sleep(90*time.Second + 300*time.Millisecond)
		if got := c.Now(); got != 95*time.Second+300*time.Millisecond {
			t.Errorf("it is %v", got)
		}
		cancel()
		<-done
		time.Sleep(time.Minute)
		if got := c.Now(); got != 155*time.Second+300*time.Millisecond {
			t.Errorf("after the last beat it is %v", got)
		}
	})
}

func TestAContextEndsWhenItsTimeHasPassedAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		ctx, cancel := c.Before(10 * time.Second)
		defer cancel()
		if end, ok := ctx.Deadline(); !ok || time.Until(end) != 10*time.Second {
			t.Errorf("the deadline is in %v", time.Until(end))
		}
		time.Sleep(4 * time.Second)
		c.state.Store(&state{slept: 3 * time.Second}) // one of these four seconds counts
		time.Sleep(8 * time.Second)
		if ctx.Err() != nil {
			t.Error("it has ended after nine seconds")
		}
		child, cancelChild := context.WithTimeout(ctx, time.Hour)
		defer cancelChild()
		if child.Err() != nil {
			t.Error(child.Err())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("after ten seconds: %v", ctx.Err())
		}
		ended, cancel := c.Before(time.Hour)
		cancel()
		if !errors.Is(ended.Err(), context.Canceled) {
			t.Errorf("cancelled: %v", ended.Err())
		}
	})
}
