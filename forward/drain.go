package forward

import (
	"context"
	"time"
)

// Leftover is what Drain could not deliver.
type Leftover struct {
	Events      int
	DeadLetters int // how many of these the dead-letter file has
}

// Drain waits until all lanes are empty or ctx is done. Then it ends the workers, writes
// what is left to the dead-letter file, and returns how much that was. Events are accepted
// until it ends; those that come later fail. If ctx has a deadline, back-offs become
// shorter as it comes near. When ctx is done attempts under way are cut off; the app may
// have acted on them. A second call waits for the first and returns the same.
func (f *Forwarder) Drain(ctx context.Context) Leftover {
	f.drain.Do(func() {
		f.awaitEmpty(ctx)
		f.stop()
		for _, l := range f.pool.abandon() {
			f.end(l, l.head, ending{answer: &Answer{Err: CutOff}})
		}
		f.lanes.close(f.abandon)
		close(f.pressure.quit)
		close(f.failures.quit)
		close(f.observer.quit)
		f.witnesses.Wait()
		f.letters.Close()
	})
	return f.leftover
}

// Flush waits until all lanes are empty or ctx is done, as Drain does first, and ends nothing.
func (f *Forwarder) Flush(ctx context.Context) { f.awaitEmpty(ctx) }

// awaitEmpty returns when there is no lane, or when ctx is done.
func (f *Forwarder) awaitEmpty(ctx context.Context) {
	if !f.started {
		return
	}
	if end, ok := ctx.Deadline(); ok {
		now := f.now()
		f.policy.deadline.Store(int64(now + time.Until(end)))
		f.pool.hurry(f.policy.beforeEnd(now, never))
	}
	f.pool.hasten()
	f.draining.Store(true)
	for f.counters.lanes.Load() > 0 {
		select {
		case <-f.empty:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the workers and cuts off what they are doing.
func (f *Forwarder) stop() {
	f.pool.stop()
	f.cancel()
	for _, w := range f.workers {
		w.client.Interrupt()
	}
	f.delivery.Wait()
}

// abandon ends the events of a lane that is left.
func (f *Forwarder) abandon(l *lane) {
	for l != nil {
		l = f.end(l, l.head, ending{outcome: CutOff})
	}
}

// add counts an event that is left.
func (l *Leftover) add(kept bool) {
	l.Events++
	if kept {
		l.DeadLetters++
	}
}
