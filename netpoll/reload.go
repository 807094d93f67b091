package netpoll

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// Reload checks cfg as New does and returns what puts it into force; until that is
// called nothing changes. Apply returns when every loop works by the new
// configuration, or has ended. Calls of it must not overlap, and must not come
// from a loop.
//
// What a server is built on stays as it is: Handler, Loops, Path, SocketBuffer, Failed
// and Log.
// No connection ends because of a reload. Sizes count from the next frame on; a
// timeout that has become shorter counts for those who wait already, a longer one
// from their next wait on; compression is what was agreed on in the handshake.
func (s *Server) Reload(cfg Config) (apply func(), err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	cfg.Handler, cfg.Loops, cfg.Path, cfg.SocketBuffer, cfg.Failed, cfg.Log = s.cfg.Handler, s.cfg.Loops, s.cfg.Path, s.cfg.SocketBuffer, s.cfg.Failed, s.cfg.Log
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
		l.Post(func(l *Loop) bool { return l.shorten(&slot) }) // fails where the loop has ended, which is as well
	}
	loops.Wait()
}

// configure makes cfg the configuration that the loop works by.
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
	} {
		l.deadlines[kind].after = ticksFor(after)
	}
}

// shortenBudget is how many slots are looked at in one turn.
const shortenBudget = 4096

// shorten lets nobody wait longer than a new timeout says, from slot on, some in
// each turn. While it goes on, who waits behind a longer deadline in a queue may
// be served late; in the end the queues are in order again, for what is due later
// than by the new timeout is due by it.
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
