package netpoll

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Reload checks cfg as New does. Nothing changes until apply is called, which returns
// when every loop works by the new configuration, or has ended. Calls of apply must
// not overlap, and must not come from a loop.
//
// Handler, Resumer, Loops, Path, SocketBuffer, Relay, Origin, Failed and Log stay as they are.
// No connection ends because of a reload. A size counts from the next frame on. A
// shorter timeout counts for connections that wait already, a longer one from their
// next wait on. Open connections keep the compression that they agreed on.
func (s *Server) Reload(cfg Config) (apply func(), err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	cfg.Handler, cfg.Loops, cfg.Path, cfg.SocketBuffer, cfg.Failed, cfg.Log, cfg.Resumer, cfg.Relay, cfg.Origin = s.cfg.Handler, s.cfg.Loops, s.cfg.Path, s.cfg.SocketBuffer, s.cfg.Failed, s.cfg.Log, s.cfg.Resumer, s.cfg.Relay, s.cfg.Origin
	return func() { s.reload(&cfg) }, nil
}

func (s *Server) reload(cfg *Config) {
	s.inForce.Store(cfg)
	s.acceptor.pace.Store(newPace(cfg))
	s.ledger.configure(cfg)
	var loops sync.WaitGroup
	for _, l := range s.loops {
		loops.Add(1)
		err := l.Post(func(l *Loop) bool {
			defer loops.Done()
			l.configure(cfg)
			return false
		})
		if err != nil { // it has ended
			loops.Done()
			continue
		}
		var slot uint32
		l.Post(func(l *Loop) bool { return l.shorten(&slot) }) // fails if the loop has ended: it has no connections then
	}
	loops.Wait()
}

// configure puts cfg into force for the loop.
func (l *Loop) configure(cfg *Config) {
	l.cfg = cfg
	l.kernel.configure(cfg)
	l.tooBig = fmt.Sprintf("message over %d bytes", cfg.MaxMessageSize)
	l.maxHandshakes = math.MaxInt64
	if cfg.MaxHandshaking > 0 {
		l.maxHandshakes = int64((cfg.MaxHandshaking + cfg.Loops - 1) / cfg.Loops)
	}
	for kind, after := range map[deadlineKind]time.Duration{
		handshakeDeadline: cfg.HandshakeTimeout,
		writeDeadline:     cfg.WriteTimeout,
		closeDeadline:     cfg.CloseTimeout,
		awayDeadline:      cfg.ResumeFor,
	} {
		l.deadlines[kind].after = ticksFor(after)
	}
}

// shortenBudget is how many slots shorten looks at in one turn.
const shortenBudget = 4096

// shorten moves deadlines that are later than a new timeout allows, from slot on,
// some in each turn. Meanwhile a queue may be out of order, and a connection behind
// a longer deadline expire late. At the end each queue is in order again: what was
// due later than the new timeout allows is due by it.
func (l *Loop) shorten(slot *uint32) (more bool) {
	for n := 0; n < shortenBudget && *slot < l.slots; n++ {
		d := &l.conns.At(*slot).deadline
		if d.kind != noDeadline {
			d.due = min(d.due, l.now+l.deadlines[d.kind].after)
		}
		*slot++
	}
	return *slot < l.slots
}
