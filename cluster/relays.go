package cluster

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/relay"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
	"ws-gateway/tokenbucket"
)

// A client whose session is at another instance is carried to it, byte for byte: see
// package relay. Each such client has two goroutines here, and two at the instance with the
// session. Whatever goes wrong, nobody is worse off than without: before the session has
// answered the client gets a new one, afterwards it has lost a connection.

// Sessions are the connections of this gateway, as a netpoll.Server has them.
type Sessions interface {
	Resumes() bool
	TakeRelayed(id netpoll.ID, h netpoll.Relayed, answered func(*netpoll.Transport, error)) error
}

var _ Sessions = (*netpoll.Server)(nil)

// RelayMiss is why a client that came here for a session of another instance gets a new one,
// or is told to come back.
type RelayMiss uint8

// The reasons.
const (
	RelayGone       RelayMiss = iota // there is no such instance, or it is not heard
	RelayUnable                      // it does not resume sessions for clients of others, or the request head does not fit into a packet
	RelayFull                        // as many are relayed here as may be
	RelayTooMany                     // too many have asked in a short time
	RelayLate                        // the instance does not answer
	RelayRefused                     // the instance relays as many as it may, or ends
	RelayMissed                      // the instance has no such session, or the token is wrong
	RelayRestarting                  // the instance restarts with its sessions: the client is to come back
	RelayMisses
)

// String returns the reason's name in metrics.
func (m RelayMiss) String() string {
	return [RelayMisses]string{"gone", "unable", "full", "too_many", "late", "refused", "missed", "restarting"}[m]
}

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
}

// relays are this instance's.
type relays struct {
	c    *Cluster
	rate tokenbucket.Rate // of those that ask
	work sync.WaitGroup

	missed [RelayMisses]atomic.Uint64
	held   atomic.Int64 // bytes that are not written

	mu       sync.Mutex // guards following
	ends     map[relayKey]*relay.End
	reserved [relayRoles]int
	asks     tokenbucket.Bucket
	number   uint64 // of the last relay that was asked for
	stopped  bool
	stats    RelayStats
}

// relayKey names a relay. The number is of who has asked.
type relayKey struct {
	peer   packet.Instance
	number uint64
	role   relayRole
}

const (
	// mostWaiting is how many bytes may wait for the bus: the rest of what it takes is for
	// the streams.
	mostWaiting = 4 << 20

	// fewestAsks is how many questions a second are always allowed; otherwise as many as there
	// may be relays.
	fewestAsks = 64

	// knownAfter is for how long after the link has come up others may not have been heard.
	knownAfter = 3 * time.Second
)

func newRelays(c *Cluster) *relays {
	rate := float64(max(c.cfg.Relays, fewestAsks))
	return &relays{c: c, rate: tokenbucket.NewRate(rate, rate), ends: map[relayKey]*relay.End{}}
}

// takes reports whether others may ask for relays to sessions here.
func (r *relays) takes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takesLocked()
}

func (r *relays) takesLocked() bool {
	return r.c.cfg.Relays > 0 && !r.c.draining() && !r.stopped && r.c.cfg.Sessions != nil && r.c.cfg.Sessions.Resumes()
}

// Relay is netpoll.Config.Relay.
func (c *Cluster) Relay(session []byte) (take func(*netpoll.Handshake)) {
	owner, ok := hub.InstanceOf(string(session))
	if !ok || owner == c.cfg.Makes || c.cfg.Relays == 0 {
		return nil
	}
	v, now := c.view.Load(), c.cfg.clock()
	at := v.homes.of(owner)
	switch m, live := v.find(at); {
	case live && m.relays:
	case v.returns(owner, now):
		return c.relays.comeBack
	case live:
		return c.relays.miss(RelayUnable)
	case v.worthWaiting(at, now) == 0:
		return c.relays.miss(RelayGone)
	}
	if why, ok := c.relays.reserve(now); !ok {
		return c.relays.miss(why)
	}
	session = bytes.Clone(session)
	return func(h *netpoll.Handshake) {
		if !c.relays.begin(func() { c.relays.forth(owner, session, h) }) {
			c.relays.free(hasClient)
			h.Decline()
		}
	}
}

// worthWaiting is for how long an instance that is not heard may be heard in a moment: it is
// silent, and not known to be gone, or our own link has not been up for long. A restart of
// NATS is when clients come back. --cluster-timeout bounds it.
func (v *view) worthWaiting(id packet.Instance, now time.Duration) time.Duration {
	if _, known := v.silent[id]; known {
		return never
	}
	return max(0, max(v.since, clockStart)+knownAfter-now) // if it never was up, since the start
}

// miss counts.
func (r *relays) miss(why RelayMiss) (take func(*netpoll.Handshake)) {
	r.missed[why].Add(1)
	return nil
}

// reserve makes room for a client here.
func (r *relays) reserve(now time.Duration) (why RelayMiss, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.reserved[hasClient] >= r.c.cfg.Relays:
		return RelayFull, false
	case r.asks.Left(&r.rate, now) == 0:
		return RelayTooMany, false
	}
	r.asks.Spend(&r.rate, now, 1)
	r.reserved[hasClient]++
	return 0, true
}

func (r *relays) free(role relayRole) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved[role]--
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

// forth relays a client here. owner is the instance that has made the session's id.
func (r *relays) forth(owner packet.Instance, session []byte, h *netpoll.Handshake) {
	key := relayKey{peer: owner, role: hasClient}
	e, why := r.ask(&key, session, h)
	if e == nil {
		r.free(hasClient)
		if why == RelayRestarting || why != RelayMissed && r.c.view.Load().returns(owner, r.c.cfg.clock()) {
			r.comeBack(h)
			return
		}
		r.miss(why)
		h.Decline()
		return
	}
	if conn, err := h.Conn(); err == nil {
		e.Carry(conn, h.Rest)
	}
	r.over(key, e)
}

// ask asks the instance that has the session, and waits for the answer. If there is none
// to wait for, e is nil.
func (r *relays) ask(key *relayKey, session []byte, h *netpoll.Handshake) (e *relay.End, why RelayMiss) {
	late := time.NewTimer(r.c.cfg.Timeout)
	defer late.Stop()
	var heard bool
	if key.peer, heard = r.awaitHeard(key.peer, late.C); !heard {
		return nil, RelayGone
	}
	if relay.AskBytes(session, h.Head) > r.c.cfg.Bus.MaxPacket()-packet.Overhead {
		return nil, RelayUnable
	}
	if e = r.newEnd(key); e == nil {
		return nil, RelayGone
	}
	e.Ask(session, h.Head, h.Peer)
	select {
	case <-e.Answered():
	case <-late.C:
		e.Break(relay.Broken)
		r.forget(*key)
		return nil, RelayLate
	}
	if c := e.Why(); c != relay.Open {
		r.forget(*key)
		switch c {
		case relay.Missed:
			return nil, RelayMissed
		case relay.Refused:
			return nil, RelayRefused
		case relay.Restarting:
			return nil, RelayRestarting
		default:
			return nil, RelayGone
		}
	}
	r.opened(hasClient)
	return e, 0
}

// awaitHeard waits until the instance is heard, and has heard of this one, that has the
// sessions with ids of owner: of strangers it takes nothing.
func (r *relays) awaitHeard(owner packet.Instance, late <-chan time.Time) (id packet.Instance, heard bool) {
	for {
		v := r.c.view.Load()
		id = v.homes.of(owner)
		m, live := v.find(id)
		worth := v.worthWaiting(id, r.c.cfg.clock())
		switch {
		case live && m.met:
			return id, true
		case live:
			worth = never
		case worth == 0:
			return id, false
		}
		select {
		case <-v.next:
		case <-time.After(worth):
		case <-late:
			return id, false
		case <-r.c.ending:
			return id, false
		}
	}
}

// newEnd makes the End of a relay that is asked for, and gives it its number. It returns nil
// after stop.
func (r *relays) newEnd(key *relayKey) *relay.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	r.number++
	key.number = r.number
	e := relay.New(r.config(*key))
	r.ends[*key] = e
	return e
}

func (r *relays) forget(key relayKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, key)
}

func (r *relays) opened(role relayRole) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Opened[role]++
}

// over is called when a relay has ended.
func (r *relays) over(key relayKey, e *relay.End) {
	e.Break(relay.Broken) // unless it has ended
	s := e.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, key)
	r.reserved[key.role]--
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
		MaxBody: b.MaxPacket() - packet.Overhead,
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

// asked begins a relay to a session here.
func (r *relays) asked(key relayKey, f *relay.Frame) {
	id, ok := r.c.hub.ParseID(f.Session)
	if !ok {
		r.publish(key.peer, packet.RelayBack, key.number, &relay.Frame{Close: relay.Missed})
		return
	}
	e := r.accept(key, f)
	if e == nil {
		r.publish(key.peer, packet.RelayBack, key.number, &relay.Frame{Close: r.refusal()})
		return
	}
	h := netpoll.Relayed{Peer: f.Peer, Head: bytes.Clone(f.Data)}
	if r.c.cfg.Sessions.TakeRelayed(id, h, func(t *netpoll.Transport, err error) {
		if !r.begin(func() { r.back(key, e, t, err) }) && err == nil {
			t.Close()
		}
	}) != nil {
		e.Break(r.refusal())
		r.over(key, e)
	}
}

// refusal is how a relay to a session here is refused.
func (r *relays) refusal() relay.Close {
	if r.c.returns() > 0 {
		return relay.Restarting
	}
	return relay.Refused
}

// accept makes the End of a relay to a session here; nil if there must be no more.
func (r *relays) accept(key relayKey, f *relay.Frame) *relay.End {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.takesLocked() {
		return nil
	}
	if r.reserved[hasSession] >= r.c.cfg.Relays {
		r.missed[RelayFull].Add(1)
		return nil
	}
	r.reserved[hasSession]++
	e := relay.Accept(r.config(key), f)
	r.ends[key] = e
	return e
}

// back relays to a session here, whose transport t is the other end of, unless there is an
// error.
func (r *relays) back(key relayKey, e *relay.End, t *netpoll.Transport, err error) {
	if err == nil {
		if conn, err := t.Conn(); err == nil {
			r.opened(hasSession)
			e.Carry(conn, nil)
		}
	}
	e.Break(relay.Missed) // unless it has ended
	r.over(key, e)
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

// DrainRelays ends the connections of clients here whose sessions are at other instances,
// spread over a time: they come back elsewhere. It returns nil, or ctx's error.
func (c *Cluster) DrainRelays(ctx context.Context, over time.Duration) error {
	ends := c.relays.all(func(k relayKey) bool { return k.role == hasClient })
	if len(ends) == 0 {
		return nil
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for _, e := range ends {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		e.Break(relay.Broken)
		pause.Reset(over / time.Duration(len(ends)))
	}
	return nil
}

// stop ends all relays. No loop must run any more, or none of the handshakes and sessions
// of those that do is waited for.
func (r *relays) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
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
