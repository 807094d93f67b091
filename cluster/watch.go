package cluster

import (
	"sync"
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
)

// lease is for how long a reader elsewhere need not ask. One whose instance is gone costs
// nothing after that.
const lease = 5 * time.Second

// watches are the taps here of readers at other instances. Of the hub's taps they take no
// more than hub.MaxTaps, together with those of readers here.
type watches struct {
	mu   sync.Mutex // guards following; held for no longer than a tap is opened, read or closed
	open map[watchKey]*watch
}

type watchKey struct {
	by packet.Instance
	id uint64
}

type watch struct {
	tap   *hub.Tap
	until time.Duration
}

func (w *watches) len() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.open))
}

// end closes those that are over.
func (w *watches) end(over func(watchKey, *watch) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, one := range w.open {
		if over(key, one) {
			one.tap.Close()
			delete(w.open, key)
		}
	}
}

// take returns what has come for a reader since the last time, and lets more come. The
// error is nil or hub.ErrTaps.
func (w *watches) take(local Local, key watchKey, r *call.Reader, now time.Duration) (events []hub.TapEvent, dropped uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.open[key]
	if one == nil {
		tap, err := local.Tap(r.TapFilter)
		if err != nil {
			return nil, 0, err
		}
		if w.open == nil {
			w.open = map[watchKey]*watch{}
		}
		one = &watch{tap: tap}
		w.open[key] = one
	}
	one.until = now + lease
	events, dropped = one.tap.Take(nil)
	one.tap.Allow(r.Allow, r.Allow)
	return events, dropped, nil
}

// watchFor does a peer's Watch or Unwatch.
func (c *Cluster) watchFor(p *peer, m *stream.Message) {
	todo, err := call.Read(m.Kind, m.Fields)
	if err != nil {
		c.stats.malformed.Add(1)
		c.answer(p, m, call.Result{Err: err})
		return
	}
	key := watchKey{p.id, todo.Watch.ID}
	if m.Kind == call.Unwatch {
		c.watches.end(func(k watchKey, _ *watch) bool { return k == key })
		return
	}
	events, dropped, err := c.watches.take(c.hub, key, &todo.Watch, c.cfg.clock())
	r := call.Result{Err: err, Dropped: int(dropped)}
	for i := range events {
		r.Payload = call.AppendEvent(r.Payload, &events[i])
	}
	c.answer(p, m, r)
}
