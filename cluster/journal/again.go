package journal

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// endings are the connections whose close events are on their way: they are open for the
// app, and nowhere else.
type endings struct {
	mu sync.Mutex // guards following
	of map[string]func()
}

// Ending notes that a connection's close event is on its way, until Closed. If the stream is
// lost meanwhile, again is called, which records the connection once more.
func (j *Journal) Ending(id []byte, again func()) {
	e := &j.endings
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[string]func(){}
	}
	e.of[string(id)] = again
}

// ended forgets a connection, whose end record records: it is not recorded as open after that.
func (e *endings) ended(id []byte, record func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.of, string(id)); len(e.of) == 0 {
		e.of = nil // a map does not shrink
	}
	record()
}

// again records all of them once more.
func (e *endings) again(ctx context.Context, room func(context.Context) error) error {
	e.mu.Lock()
	all := slices.Collect(maps.Keys(e.of))
	e.mu.Unlock()
	for some := range slices.Chunk(all, releaseStep) {
		if err := room(ctx); err != nil {
			return err
		}
		e.mu.Lock()
		for _, id := range some {
			if again := e.of[id]; again != nil {
				again()
			}
		}
		e.mu.Unlock()
	}
	return nil
}

// Losses is how often the stream had lost what was in it.
func (j *Journal) Losses() uint64 { return j.losses.Load() }

// beginAgain has what is open recorded again, as nothing of it is in the stream.
func (j *Journal) beginAgain(lost bool) {
	j.own.count(0, 0)
	poke(j.renewed)
	if !lost {
		return
	}
	j.losses.Add(1)
	j.cfg.Log.Warn().Msg("what was in the stream of the cluster's journal is lost: what is open is recorded again. Nobody sends the close events of gateways that are gone meanwhile. Was it removed or purged, or does NATS not keep its files when it starts again?")
}

// recordAgain records what is open each time that beginAgain says so. A connection that ends
// meanwhile is among those that are open or, behind them, among those that end.
func (j *Journal) recordAgain() {
	for {
		select {
		case <-j.renewed:
		case <-j.ctx.Done():
			return
		}
		if j.cfg.Again(j.ctx, j.own.room) == nil {
			_ = j.endings.again(j.ctx, j.own.room) // if not, this is the end
		}
	}
}
