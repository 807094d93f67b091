package forward

import (
	"context"
	"slices"

	"ws-gateway/handover/record"
)

// Held is a Forwarder that delivers nothing for a while, so that another process can take
// up what waits. Of every event its lane says then whether the app has it. Release must
// follow.
type Held struct {
	f     *Forwarder
	lanes []*lane // that were recorded
	event record.Fields
}

// Hold has nothing delivered until Release. Attempts under way are cut off, and their events
// have not been delivered; the app may have acted on them. It waits until the outcome of
// those that have an answer has been dealt with. Events are accepted as ever. After an error,
// which is ctx's, everything goes on.
//
// It is to be called once at a time, and not after Drain.
func (f *Forwarder) Hold(ctx context.Context) (*Held, error) {
	busy, quiet := f.pool.hold(f.workers)
	f.dialing.Load().cancel()
	for _, w := range busy {
		w.client.Interrupt()
	}
	select {
	case <-quiet:
		return &Held{f: f}, nil
	case <-ctx.Done():
		f.goOn()
		return nil, ctx.Err()
	}
}

// Release has events delivered again. With kept, another process has those that were
// recorded: they end here, as neither delivered nor failed, and Release returns how many
// there were. Without it they are delivered here as if they had not been recorded. A nil
// *Held has none.
func (h *Held) Release(kept bool) (events int) {
	if h == nil {
		return 0
	}
	if kept {
		events = h.f.forget(h.lanes)
	}
	h.f.goOn()
	return events
}

// goOn undoes Hold.
func (f *Forwarder) goOn() {
	f.dialing.Store(newDialing(f.ctx))
	f.pool.goOn()
}

// forget takes lanes out whose events another process has. Nothing is being delivered.
func (f *Forwarder) forget(lanes []*lane) (events int) {
	if len(lanes) == 0 {
		return 0
	}
	for _, l := range lanes {
		n, cost := f.lanes.forget(l)
		f.pressure.add(-cost)
		f.counters.events.Add(-int64(n))
		f.counters.kept.Add(uint64(n))
		events += n
	}
	for _, b := range f.pool.forget(lanes) {
		f.dissolve(b)
	}
	for range lanes {
		f.laneEnded()
	}
	return events
}

// dissolve ends a batch of which some lanes are gone. The others are as if they had not been
// in it.
func (f *Forwarder) dissolve(b *batch) {
	for i := range b.lanes {
		l := b.lanes[i].lane
		if l.batch = nil; !l.gone {
			f.lanes.release(l)
			f.pool.put(l, f.now())
		}
	}
	b.recycle()
}

// forget takes l out of the table. It returns how many events it had, and the memory that
// they and the lane held.
func (t *table) forget(l *lane) (events int, cost int64) {
	s := t.stripe(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	cost = l.held + l.cost
	for e := l.head; e != nil; e = e.next {
		cost += e.metaCost()
	}
	if l.available {
		t.available.Add(-int64(l.events))
	}
	if l.squeezed {
		t.squeezed.Add(-1)
	}
	s.delete(l.key)
	return l.events, cost
}

// hold stops handing out jobs. busy are the workers that have one, and quiet is closed when
// they have reported.
func (p *pool) hold(workers []*worker) (busy []*worker, quiet <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.quiet = true, make(chan struct{})
	idle := make(map[*worker]bool, len(workers))
	for _, w := range slices.Concat(p.warm, p.cold) {
		idle[w] = true
	}
	for _, w := range workers {
		if !idle[w] {
			w.cut, w.awaited = true, true
			busy = append(busy, w)
		}
	}
	p.busy = len(busy)
	quiet = p.quiet
	p.quietenLocked()
	return busy, quiet
}

// quietenLocked says that nobody has a job any more, once that is so.
func (p *pool) quietenLocked() {
	if p.busy == 0 && p.quiet != nil {
		close(p.quiet)
		p.quiet = nil
	}
}

// goOn hands out jobs again. A worker that was cut off first does what it takes to make
// further attempts.
func (p *pool) goOn() {
	p.mu.Lock()
	p.held, p.quiet = false, nil
	var cut *worker
	for _, list := range [...]*[]*worker{&p.warm, &p.cold} {
		*list = slices.DeleteFunc(*list, func(w *worker) bool {
			if !w.cut {
				return false
			}
			w.cut = false
			w.job, w.woken = job{kind: jobHangUp}, cut
			cut = w
			return true
		})
	}
	woken, early := p.assignLocked(p.now())
	p.mu.Unlock()
	p.wake(cut, false)
	p.wake(woken, early)
}

// forget takes lanes out of the queues, and batches of which one of them was a part: those
// are in no queue then. No job may be under way. A lane that waits for the journal is not
// taken when it comes.
func (p *pool) forget(lanes []*lane) (dissolved []*batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lanes {
		l.gone = true
	}
	return p.sched.forget()
}
