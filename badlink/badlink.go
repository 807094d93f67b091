// Package badlink is a TCP proxy that misbehaves as a network does. Tests and benches put
// it between what is to survive that.
package badlink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Link is a TCP proxy that misbehaves as a network does: connections are cut, stall and
// carry other bytes than were written.
type Link struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond             // of mu: nothing stalls any more, or the link has ended
	target  netip.AddrPort        // guarded by mu
	conns   map[net.Conn]struct{} // guarded by mu
	refuses bool                  // guarded by mu: connections are cut as they come
	stalls  [2]bool               // guarded by mu: by direction
	damage  [2]int                // guarded by mu: bytes to change, one in each of the next pieces
	ended   bool                  // guarded by mu
}

// direction is one of a connection's two.
type direction int

const (
	up   direction = iota // to the target
	down                  // from it
)

// New returns a Link to target. The caller must call Close.
func New(target netip.AddrPort) (*Link, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a port for a link: %w", err)
	}
	l := &Link{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	l.changed.L = &l.mu
	l.running.Go(l.accept)
	return l, nil
}

// Addr is where the Link listens.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Lead says where new connections lead from now on.
func (l *Link) Lead(target netip.AddrPort) { l.change(func() { l.target = target }) }

// Close ends all connections. Nobody misbehaves any more then.
func (l *Link) Close() {
	l.change(func() {
		l.ended = true
		l.cut()
	})
	l.listener.Close()
	l.running.Wait()
}

func (l *Link) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	l.changed.Broadcast()
}

// cut ends all connections with a reset. It needs mu.
func (l *Link) cut() {
	for c := range l.conns {
		_ = c.(*net.TCPConn).SetLinger(0) // fails if the connection is gone
		c.Close()
	}
}

// finish ends all connections as if both sides had closed them. It needs mu.
func (l *Link) finish() {
	for c := range l.conns {
		c.Close()
	}
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.running.Go(func() { l.serve(c) })
	}
}

// heldAtMost is how many bytes of each direction, about, the kernel takes for a link that is
// stalled: otherwise it takes megabytes, and whoever sends does not notice.
const heldAtMost = 64 << 10

func (l *Link) serve(near net.Conn) {
	defer near.Close()
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	far, err := net.DialTimeout("tcp", target.String(), time.Second)
	if err != nil {
		return
	}
	defer far.Close()
	for _, c := range []net.Conn{near, far} {
		c.(*net.TCPConn).SetReadBuffer(heldAtMost) // if it fails a stall holds more
	}
	if !l.enter(near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(far, near, up) })
	both.Go(func() { l.copy(near, far, down) })
	both.Wait()
	l.change(func() { delete(l.conns, near); delete(l.conns, far) })
}

func (l *Link) enter(conns ...net.Conn) (ok bool) {
	l.change(func() {
		if ok = !l.refuses && !l.ended; ok {
			for _, c := range conns {
				l.conns[c] = struct{}{}
			}
		}
	})
	return ok
}

// copy copies what comes, as long as it comes, and then ends both.
func (l *Link) copy(to, from net.Conn, d direction) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.pass(buf[:n], d) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until a piece may go on, and damages it if it is its turn.
func (l *Link) pass(piece []byte, d direction) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.stalls[d] && !l.refuses && !l.ended {
		l.changed.Wait()
	}
	if l.damage[d] > 0 {
		l.damage[d]--
		piece[(int(d)+1)*len(piece)/3] ^= 0x20
	}
	return !l.ended
}

// Fault is a way of a Link to misbehave.
type Fault uint8

// The faults.
const (
	Cut     Fault = iota // all connections are reset, others may come at once
	Refuse               // the same, and those that come for a while
	Stall                // nothing goes on for a while, in either direction
	Deaf                 // nothing comes from the target for a while
	Mute                 // nothing goes to the target for a while
	Corrupt              // bytes are changed
	Finish               // all connections are closed without a reset, others may come at once
	faults
)

var faultNames = [faults]string{"cuts", "refusals", "stalls", "stalls down", "stalls up", "changed bytes", "ends"}

// String returns the fault's name in the plural, as a table says it.
func (f Fault) String() string { return faultNames[f] }

// Faults are all of them.
func Faults() (all []Fault) {
	for f := range faults {
		all = append(all, f)
	}
	return all
}

// Temper is how long a Link is well between two faults, and how long a fault lasts:
// at the most, one in eight of them up to Longest.
type Temper struct {
	Well, Fault, Longest time.Duration
	Only                 []Fault // nil: all
}

// Misbehave has one fault follow the other until ctx is done, and leaves the Link well.
// It returns how often each was.
func (l *Link) Misbehave(ctx context.Context, temper Temper, random *rand.Rand) map[Fault]int {
	did := map[Fault]int{}
	among := temper.Only
	if among == nil {
		among = Faults()
	}
	for rest(ctx, between(random, temper.Well/4, temper.Well)); ctx.Err() == nil; rest(ctx, between(random, temper.Well/4, temper.Well)) {
		f, longest := among[random.IntN(len(among))], temper.Fault
		if random.IntN(8) == 0 {
			longest = temper.Longest
		}
		l.begin(f, 1+random.IntN(4))
		did[f]++
		if f != Cut && f != Finish && f != Corrupt {
			rest(ctx, between(random, 0, longest))
		}
		l.heal()
	}
	l.change(func() { l.damage = [2]int{} })
	return did
}

func (l *Link) begin(f Fault, bytes int) {
	l.change(func() {
		switch f {
		case Cut:
			l.cut()
		case Refuse:
			l.refuses = true
			l.cut()
		case Finish:
			l.finish()
		case Stall:
			l.stalls = [2]bool{true, true}
		case Deaf:
			l.stalls[down] = true
		case Mute:
			l.stalls[up] = true
		case Corrupt:
			l.damage[up], l.damage[down] = bytes, bytes
		}
	})
}

// Cut cuts all connections, and those that come until it is called with false.
func (l *Link) Cut(cut bool) {
	l.change(func() {
		if l.refuses = cut; cut {
			l.cut()
		}
	})
}

// Stall holds up everything in both directions, or lets it go on: it arrives later.
func (l *Link) Stall(stall bool) {
	l.change(func() { l.stalls = [2]bool{stall, stall} })
}

func (l *Link) heal() { l.change(func() { l.refuses, l.stalls = false, [2]bool{} }) }

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// rest lets time pass.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
