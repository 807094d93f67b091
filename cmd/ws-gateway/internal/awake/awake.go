// Package awake is a clock that counts only the time in which the process runs. Deadlines
// by this clock do not pass while the process is stopped: by SIGSTOP, with its virtual
// machine, or because it gets no processor. It imports nothing of this module.
package awake

import (
	"context"
	"sync/atomic"
	"time"
)

// A running process beats this often. Of the time between two beats no more than this
// counts.
const beat = time.Second

// Clock is such a clock. Its methods may be called from any goroutine.
type Clock struct {
	epoch time.Time
	state atomic.Pointer[state]
}

// state is the result of the last beat.
type state struct {
	beating bool          // false: all time counts
	last    time.Duration // time of the beat, since the epoch
	slept   time.Duration // how much of the time up to then does not count
}

// New returns a clock that counts all time until Run is called.
func New() *Clock {
	c := &Clock{epoch: time.Now()}
	c.state.Store(new(state))
	return c
}

// Now is the time in which the process ran since New. It never goes back.
func (c *Clock) Now() time.Duration {
	s := c.state.Load() // first: an older state than the time counts no less
	return s.at(time.Since(c.epoch))
}

func (s *state) at(t time.Duration) time.Duration {
	if s.beating {
		t = min(t, s.last+beat)
	}
	return t - s.slept
}

// Run keeps the clock going until ctx ends. After each time that does not count it calls
// slept with its length.
func (c *Clock) Run(ctx context.Context, slept func(time.Duration)) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	s := *c.state.Load()
	s.beating, s.last = true, time.Since(c.epoch)
	for {
		next := s
		c.state.Store(&next)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			last := s // not next, which others read
			last.beating = false
			last.slept += max(0, time.Since(c.epoch)-s.last-beat)
			c.state.Store(&last)
			return
		}
		var missed time.Duration
		if s, missed = s.beat(time.Since(c.epoch)); missed > 0 {
			slept(missed)
		}
	}
}

// beat returns the state after a beat at t, and how much of the time since the last beat
// does not count.
func (s state) beat(t time.Duration) (next state, missed time.Duration) {
	missed = max(0, t-s.last-beat)
	s.last = t
	s.slept += missed
	return s, missed
}

// Before returns a context that ends with DeadlineExceeded when Now reaches end.
func (c *Clock) Before(end time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(context.Background())
	ctx := &limited{inner, c, end}
	var timer *time.Timer
	started := make(chan struct{})
	timer = time.AfterFunc(end-c.Now(), func() {
		<-started
		if left := end - c.Now(); left > 0 { // the process was stopped meanwhile
			timer.Reset(left)
			return
		}
		cancel(context.DeadlineExceeded)
	})
	close(started)
	return ctx, func() {
		timer.Stop()
		cancel(context.Canceled)
	}
}

// limited is the context of Before.
type limited struct {
	context.Context
	clock *Clock
	end   time.Duration
}

// Deadline is when the context ends unless the process is stopped before.
func (c *limited) Deadline() (time.Time, bool) {
	return time.Now().Add(c.end - c.clock.Now()), true
}

// Err is DeadlineExceeded when the time is over.
func (c *limited) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return context.Cause(c.Context)
}
