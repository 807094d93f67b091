package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	mostHeld    = 1 << 16 // close events that are held back
	releaseStep = 256     // of them go out at a time
)

// longOver is the lease of an instance that goes on where an earlier run has left its subject.
var longOver = time.Unix(1, 0)

// heldClose is a close event that waits.
type heldClose struct {
	id   string // of the connection; empty: events that come before close events
	send func()
}

// Sure reports whether, as far as is known, nobody can have sent close events of this
// instance's connections, and that one is sent now can be recorded.
func (j *Journal) Sure() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sure()
}

// sure must be called with mu held. Before the first record there is nothing to take over.
func (j *Journal) sure() bool {
	return !j.isOver && len(j.held) == 0 && (j.lease.IsZero() || !j.doubt && time.Now().Before(j.lease))
}

// HoldBack holds back the close event of a connection, or, with no id, what must come before
// some of these, if others may have sent it, or may send it later, as it cannot be recorded
// that this instance has. It calls send once it is known that none has. If others have, or
// after Leave, it is never called. It returns false if the event can be sent now.
func (j *Journal) HoldBack(id []byte, send func()) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.isOver:
		return true
	case j.sure():
		return false
	case len(j.held) >= mostHeld:
		j.unheld.Add(1)
		return false
	}
	j.held = append(j.held, heldClose{string(id), send})
	return true
}

// Held is how many close events are held back.
func (j *Journal) Held() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.held)
}

// doubts notes that what is recorded now may not reach the stream.
func (j *Journal) doubts() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.doubt = true
}

// confirmed notes that nobody had taken over when an append began, and that it has reached the
// stream.
func (j *Journal) confirmed(began time.Time) {
	j.mu.Lock()
	j.lease = began.Add(j.sureFor())
	j.doubt = j.doubt && began.Before(j.broke)
	j.place.Stream = j.own.ledger.streams.created
	j.worksLocked(&j.writing)
	j.mu.Unlock()
	for j.release() {
	}
	poke(j.released)
}

// release sends some of what is held, if that is not to be left to others: few at a time, so
// that those who close meanwhile do not wait.
func (j *Journal) release() (more bool) {
	j.releasing.Lock()
	defer j.releasing.Unlock()
	j.mu.Lock()
	some := j.held[:min(len(j.held), releaseStep)]
	if j.left || j.doubt {
		some = nil
	}
	j.mu.Unlock()
	for _, c := range some {
		c.send()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(some)
	if j.held = j.held[len(some):]; len(j.held) == 0 {
		j.held = nil
	}
	return len(some) > 0
}

// Leave says that events can be sent now and not later. It waits a second, or until ctx is
// done, for what is held. Then it sends, of that, what no other instance can know of, as
// that the connection was opened is not recorded either, or everything, and leaves the rest
// to others. From then on nothing that is held is sent.
func (j *Journal) Leave(ctx context.Context, everything bool) { j.leave(ctx, stopFor, everything) }

func (j *Journal) leave(ctx context.Context, wait time.Duration, everything bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for j.Held() > 0 && ctx.Err() == nil {
		select {
		case <-j.released:
		case <-ctx.Done():
		}
	}
	j.releasing.Lock()
	defer j.releasing.Unlock()
	unknown := j.own.opening()
	j.mu.Lock()
	j.left = true
	if j.lease.Equal(longOver) {
		unknown = nil // what waits are the connections of the run before
	}
	var now, rest []heldClose
	for _, c := range j.held {
		if everything || unknown[c.id] {
			now = append(now, c)
		} else {
			rest = append(rest, c)
		}
	}
	j.held = rest
	j.mu.Unlock()
	for _, c := range now {
		c.send()
	}
	if len(rest) > 0 {
		j.cfg.Log.Warn().Int("events", len(rest)).
			Msg("the cluster's journal cannot be written at the end: close events are left to other gateways, one of which sends them when none has heard of this one for --cluster-dead-after")
	}
}

// watch has close events wait while a connection is down, until something was written again. It
// ends with the connection.
func (j *Journal) watch(changes <-chan nats.Status) {
	for {
		select {
		case s := <-changes:
			if s == nats.CONNECTED {
				poke(j.own.ask)
				continue
			}
			j.mu.Lock()
			j.doubt, j.broke = true, time.Now()
			j.mu.Unlock()
			j.own.cutShort()
			if s == nats.CLOSED {
				return
			}
		case <-j.ctx.Done():
			return
		}
	}
}
