package abuse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/load"
	"ws-gateway/bench/sock"
)

// Config of an Attacker.
type Config struct {
	Target netip.AddrPort
	Kind   string
	Conns  int
	Rate   float64 // turns a second, of all connections together
	Seed   uint64  // of what is random
}

// Attacker does harm of one kind.
type Attacker struct {
	cfg    Config
	kind   kind
	dialer load.Dialer
	conns  []conn
	rand   *rand.Rand
	counts Counts
	next   int // the connection whose turn is next
	passed int // turns over all, skipped ones included
}

type conn struct {
	load.Link
	then    then // to be done when all is sent, or an answer comes
	variant int  // of the kind; the next connection has the next one
	moves   int
	rest    []byte // of the last move, what the kernel has not taken yet
}

const (
	longest = 20 * time.Millisecond // between two looks at whether to stop
	burst   = 64                    // turns taken before what has come is looked at
	latest  = 200 * time.Millisecond
	numbers = 1_000_000 // number of the first connection: attackers come from other addresses than good clients
)

// New prepares an attack. Run must be called, which ends it too.
func New(cfg Config) (*Attacker, error) {
	k, err := kindOf(cfg.Kind)
	if err != nil {
		return nil, err
	}
	if cfg.Conns < 1 || cfg.Rate <= 0 || !cfg.Target.IsValid() {
		return nil, errors.New("abuse: an attack needs a target, connections and a rate")
	}
	d, err := load.NewDialer(cfg.Target, "", identity(UserOf(cfg.Kind)))
	if err != nil {
		return nil, err
	}
	d.Receive = k.receive
	a := &Attacker{
		cfg: cfg, kind: k, dialer: d, conns: make([]conn, cfg.Conns), rand: rand.New(rand.NewPCG(cfg.Seed, 0)),
		counts: Counts{Answers: make(map[string]uint64)},
	}
	for i := range a.conns {
		a.conns[i].variant = i
	}
	return a, nil
}

func identity(user string) func([]byte, int) []byte {
	return func(dst []byte, _ int) []byte { return append(dst, "X-Bfl-User: "+user+"\r\n"...) }
}

// request is an opening handshake that is in order.
func request(user string) []byte { return load.AppendRequest(nil, "gateway", "/ws", 0, identity(user)) }

// Run attacks until ctx is done, resets all connections and reports.
func (a *Attacker) Run(ctx context.Context) (Counts, error) {
	defer a.hangUpAll()
	began := time.Now()
	for ctx.Err() == nil {
		events, err := a.dialer.Poller.Wait(min(longest, a.pace(time.Since(began))))
		if err != nil {
			return a.counts, fmt.Errorf("abuse: waiting for events: %w", err)
		}
		for i := range events {
			a.serve(events[i].Fd)
		}
	}
	return a.counts, nil
}

func (a *Attacker) hangUpAll() {
	for i := range a.conns {
		if c := &a.conns[i]; c.Held() {
			a.dialer.Away(&c.Link, int32(i))
		}
	}
	a.dialer.Poller.Close()
}

// pace takes the turns that have come due and returns the time to the next one.
func (a *Attacker) pace(elapsed time.Duration) time.Duration {
	due := int(elapsed.Seconds() * a.cfg.Rate)
	if late := due - a.passed; late > int(a.cfg.Rate*latest.Seconds())+burst {
		a.counts.Skipped += uint64(late)
		a.passed = due
	}
	for range burst {
		if a.passed >= due {
			return time.Duration(float64(a.passed+1)/a.cfg.Rate*float64(time.Second)) - elapsed
		}
		a.turn(int32(a.next))
		a.next = (a.next + 1) % len(a.conns)
		a.passed++
	}
	return 0
}

// turn takes a connection one step further.
func (a *Attacker) turn(i int32) {
	c := &a.conns[i]
	if !c.Held() && !a.dial(i, c) {
		return
	}
	if len(c.rest) > 0 {
		a.flush(i, c)
		return
	}
	if !c.Open() || c.then == vanish {
		return
	}
	m := a.kind.move(turn{variant: c.variant, n: c.moves, rand: a.rand})
	c.moves++
	c.then, c.rest = m.then, m.send
	a.counts.Sent += uint64(m.count)
	a.flush(i, c)
}

// dial begins a connection, with a handshake unless its variant has none.
func (a *Attacker) dial(i int32, c *conn) bool {
	*c = conn{variant: (c.variant + 1) % a.kind.variants}
	dial := a.dialer.Dial
	if a.kind.bare(c.variant) {
		dial = a.dialer.DialBare
	}
	if err := dial(&c.Link, i, numbers+int(i)); err != nil {
		a.counts.fail(err)
		if c.Held() {
			a.dialer.Away(&c.Link, i)
		}
		return false
	}
	a.counts.Dialled++
	return true
}

// flush sends what is left of a move, and then does what follows it.
func (a *Attacker) flush(i int32, c *conn) {
	for len(c.rest) > 0 {
		n, err := sock.Write(c.FD(), c.rest)
		a.counts.SentBytes += uint64(n)
		if err != nil {
			if !sock.WouldBlock(err) && !errors.Is(err, unix.ENOTCONN) {
				a.hangUp(i, c, &a.counts.Ended)
			}
			return
		}
		c.rest = c.rest[n:]
	}
	switch c.then {
	case reset:
		a.hangUp(i, c, &a.counts.Hangups)
	case leave:
		a.counts.Hangups++
		a.dialer.Leave(&c.Link, i)
	case vanish:
		if err := ignoreAll(c.FD()); err != nil {
			a.counts.fail(err)
		}
	}
}

// hangUp ends a connection with a reset, or gives up one that is no more, and
// counts it.
func (a *Attacker) hangUp(i int32, c *conn, count *uint64) {
	*count++
	a.dialer.Away(&c.Link, i)
}

// serve takes a connection on whose socket something has happened.
func (a *Attacker) serve(i int32) {
	switch c := &a.conns[i]; {
	case c.Open():
		data, err := a.dialer.Read(&c.Link, i)
		if err != nil {
			a.hangUp(i, c, &a.counts.Ended)
			return
		}
		a.heard(i, c, data)
	case c.Held(): // or it was ended by an earlier event of the same batch
		a.shake(i, c)
	}
}

// shake takes a connection one step further in its opening handshake. One that is refused
// is given up.
func (a *Attacker) shake(i int32, c *conn) {
	rest, err := a.dialer.Shake(&c.Link, i, numbers+int(i))
	if refused := (load.Refusal{}); errors.As(err, &refused) {
		a.counts.answered([]byte(refused.Status))
	}
	switch {
	case err != nil:
		a.hangUp(i, c, &a.counts.Ended)
	case c.Open():
		a.counts.Upgraded++
		a.counts.Answers["HTTP 101"]++
		if a.kind.deaf {
			a.stopReading(i, c)
		}
		a.heard(i, c, rest)
	}
}

// heard takes what has come on a connection that is open.
func (a *Attacker) heard(i int32, c *conn, data []byte) {
	if len(data) == 0 {
		return
	}
	a.counts.GotBytes += uint64(len(data))
	a.counts.answered(data)
	if c.then == resetOnReply {
		a.hangUp(i, c, &a.counts.Hangups)
	}
}

// stopReading leaves what comes in the kernel. A connection that breaks is still
// noticed; one that the server ends in order is not, behind what is unread.
func (a *Attacker) stopReading(i int32, c *conn) {
	if err := a.dialer.Poller.Modify(c.FD(), i, 0); err != nil {
		a.counts.fail(fmt.Errorf("watching a socket: %w", err))
	}
}

// ignoreAll has the kernel drop every segment that arrives for a socket, so that
// for its peer the host is gone.
func ignoreAll(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	program := unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("attaching a filter: %w", err)
	}
	return nil
}
