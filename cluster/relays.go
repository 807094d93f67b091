package cluster

import (
	"maps"
	"sync"
	"sync/atomic"

	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
)

// A client whose session is at another instance is carried to it, byte for byte: see
// package relay. Each such client has two goroutines here, and two at the instance with the
// session. A session is given up, and its client gets a new one here, only if the instance
// that has it is known to be gone, or cannot or will not go on with it. Whatever may be over in
// a moment has the client told to come back, for a time (comebacks.go); once the session has
// answered, it has lost a connection.

// relayRole is which part an instance has in a relay.
type relayRole uint8

const (
	hasClient  relayRole = iota // and has asked for the relay
	hasSession                  // and was asked
	relayRoles
)

// RelayStats are counters since the start, unless marked as a gauge. What is in pairs is
// of clients here whose sessions are elsewhere, and of sessions here.
type RelayStats struct {
	Held   int64              // gauge: bytes that clients and sessions here have not taken yet
	Limit  int64              // gauge: how many there may be, of each
	Open   [relayRoles]int64  // gauge
	Opened [relayRoles]uint64 // relays in which the session has answered
	Bytes  [relayRoles]uint64 // to the other instance
	Missed [RelayMisses]uint64
	Torn   uint64 // relays that have ended because something was lost between the instances

	Displaced [relayRoles]uint64 // relays that have given way to those of other addresses
}

// relays are this instance's.
type relays struct {
	c      *Cluster
	work   sync.WaitGroup
	ending chan struct{} // closed by stop

	missed [RelayMisses]atomic.Uint64
	held   atomic.Int64 // bytes that are not written

	mu        sync.Mutex // guards following
	ends      map[relayKey]*relay.End
	reserved  [relayRoles]int
	asking    [relayRoles]int // of these, in which the session has not answered yet
	shares    [relayRoles]shares
	waiting   int // of those with the client here, for an instance that is not heard
	asks      asks
	comebacks comebacks
	number    uint64 // of the last relay that was asked for
	stopped   bool
	stats     RelayStats
}

// relayKey names a relay. The number is of who has asked.
type relayKey struct {
	peer   packet.Instance
	number uint64
	role   relayRole
}

// mostWaiting is how many bytes may wait for the bus: the rest of what it takes is for
// the streams.
const mostWaiting = 4 << 20

func newRelays(c *Cluster) *relays {
	return &relays{
		c: c, ending: make(chan struct{}), asks: newAsks(max(c.cfg.Relays, fewestAsks)), comebacks: newComebacks(c.cfg.DeadAfter), ends: map[relayKey]*relay.End{},
		shares: [relayRoles]shares{newShares(), newShares()},
	}
}

// isFullLocked reports whether there may be no more relays to a session for an address. lasts is false if
// some have not been answered yet: there is room in a moment.
func (r *relays) isFullLocked(role relayRole, of hub.Block, session []byte) (full, lasts bool) {
	most, now := r.c.cfg.Relays, r.reserved[role]
	if s := &r.shares[role]; s.mayDisplace(of) || s.last[string(session)] != nil {
		return now >= most+mostDisplacing, false
	}
	return now >= most, now-r.asking[role] >= most
}

// reserveLocked makes room for a relay. opened, and free, must follow, or free alone.
func (r *relays) reserveLocked(role relayRole, of hub.Block, session []byte) *share {
	r.reserved[role]++
	r.asking[role]++
	return &share{role: role, of: of, session: string(session)}
}

func (r *relays) free(s *share) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freeLocked(s)
}

func (r *relays) freeLocked(s *share) {
	switch {
	case s.gaveUp:
		return
	case s.end == nil:
		r.asking[s.role]--
	default:
		r.shares[s.role].remove(s)
	}
	r.reserved[s.role]--
}

// begin does it on a goroutine for which stop waits. ok is false after stop.
func (r *relays) begin(do func()) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.work.Go(do)
	return true
}

// opened notes that the session has answered. If there are too many relays now, one ends.
func (r *relays) opened(s *share, e *relay.End) {
	if d := r.displace(s, e); d != nil {
		d.Break(relay.Broken)
	}
}

func (r *relays) displace(s *share, e *relay.End) *relay.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Opened[s.role]++
	r.asking[s.role]--
	s.end = e
	d := r.shares[s.role].last[s.session]
	r.shares[s.role].add(s)
	if r.reserved[s.role]-r.asking[s.role] <= r.c.cfg.Relays {
		return nil
	}
	if d == nil {
		d = r.shares[s.role].ofMost()
		r.stats.Displaced[s.role]++
	}
	r.freeLocked(d)
	d.gaveUp = true
	return d.end
}

// over is called when a relay has ended.
func (r *relays) over(key relayKey, e *relay.End, share *share) {
	e.Break(relay.Broken) // unless it has ended
	s := e.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, key)
	r.freeLocked(share)
	r.stats.Bytes[key.role] += s.Bytes
	if s.Torn {
		r.stats.Torn++
	}
}

// config of an End.
func (r *relays) config(key relayKey) relay.Config {
	b := r.c.cfg.Bus
	kind := packet.RelayForth
	if key.role == hasSession {
		kind = packet.RelayBack
	}
	return relay.Config{
		MaxBody: r.c.maxBody(),
		Held:    &r.held,
		Publish: func(f *relay.Frame) bool {
			if len(f.Data) > 0 && b.Stats().Waiting > mostWaiting {
				return false
			}
			return r.publish(key.peer, kind, key.number, f)
		},
	}
}

var bodies = sync.Pool{New: func() any { return new([]byte) }}

func (r *relays) publish(to packet.Instance, kind packet.Kind, number uint64, f *relay.Frame) bool {
	body := bodies.Get().(*[]byte)
	defer bodies.Put(body)
	p := packet.Packet{Kind: kind, Sender: r.c.cfg.Instance, Receiver: to, Request: number}
	var fields int
	*body, fields = f.Append((*body)[:0])
	p.Body, p.FieldsLength = *body, uint32(fields)
	return r.c.cfg.Bus.Publish(to, p.Append(make([]byte, 0, p.Len())))
}

// receive takes a packet of a relay. The router calls it.
func (r *relays) receive(p *packet.Packet) error {
	f, err := relay.Read(p.Body, p.FieldsLength)
	if err != nil {
		return err
	}
	key, answer := relayKey{p.Sender, p.Request, hasSession}, packet.RelayBack
	if p.Kind == packet.RelayBack {
		key.role, answer = hasClient, packet.RelayForth
	}
	r.mu.Lock()
	e := r.ends[key]
	r.mu.Unlock()
	switch {
	case e != nil:
		e.Receive(&f)
		r.relieve()
	case f.Close.Ends():
	case key.role == hasSession && len(f.Session) > 0:
		r.asked(key, &f)
	default:
		r.publish(key.peer, answer, key.number, &relay.Frame{Close: relay.Unknown})
	}
	return nil
}

// relieve ends the relay that holds most, if all hold too much.
func (r *relays) relieve() {
	if r.held.Load() <= int64(r.c.cfg.Buffer) {
		return
	}
	var largest *relay.End
	most := 0
	for _, e := range r.all(func(relayKey) bool { return true }) {
		if n := e.Holds(); n > most {
			largest, most = e, n
		}
	}
	if largest != nil {
		largest.Lost()
	}
}

// lost ends all relays with an instance.
func (r *relays) lost(peer packet.Instance) {
	for _, e := range r.all(func(k relayKey) bool { return k.peer == peer }) {
		e.Lost()
	}
}

func (r *relays) all(which func(relayKey) bool) (ends []*relay.End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, e := range r.ends {
		if which(key) {
			ends = append(ends, e)
		}
	}
	return ends
}

// stop ends all relays. No loop must run any more, or none of the handshakes and sessions
// of those that do is waited for.
func (r *relays) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	close(r.ending)
	for _, e := range r.all(func(relayKey) bool { return true }) {
		e.Break(relay.Broken)
	}
	r.work.Wait()
}

// snapshot returns what was counted.
func (r *relays) snapshot() RelayStats {
	s, ends := r.counted()
	for key, e := range ends {
		s.Bytes[key.role] += e.Stats().Bytes
	}
	for i := range r.missed {
		s.Missed[i] = r.missed[i].Load()
	}
	return s
}

func (r *relays) counted() (RelayStats, map[relayKey]*relay.End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Limit, s.Held = int64(r.c.cfg.Relays), r.held.Load()
	for role, n := range r.reserved {
		s.Open[role] = int64(n)
	}
	return s, maps.Clone(r.ends)
}
