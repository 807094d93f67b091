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
	cfg     Config
	kind    kind
	request []byte
	poller  *sock.Poller
	conns   []conn
	buf     []byte
	rand    *rand.Rand
	counts  Counts
	next    int // the connection whose turn is next
	passed  int // turns over all, skipped ones included
}

type state uint8

const (
	down  state = iota
	asked       // the handshake is out, or on its way
	up          // moves are made
)

type conn struct {
	fd      int32
	state   state
	then    then // to be done when all is sent, or an answer comes
	variant int  // of the kind; the next connection has the next one
	moves   int
	rest    []byte // of the last move, what the kernel has not taken yet
}

const (
	readBuffer = 64 << 10
	longest    = 20 * time.Millisecond // between two looks at whether to stop
	burst      = 64                    // turns taken before what has come is looked at
	latest     = 200 * time.Millisecond
	perSource  = 4_000 // connections that share a source address
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
	p, err := sock.NewPoller()
	if err != nil {
		return nil, fmt.Errorf("abuse: creating an epoll: %w", err)
	}
	a := &Attacker{
		cfg: cfg, kind: k, request: request(UserOf(cfg.Kind)), poller: p,
		conns: make([]conn, cfg.Conns), buf: make([]byte, readBuffer), rand: rand.New(rand.NewPCG(cfg.Seed, 0)),
		counts: Counts{Answers: make(map[string]uint64)},
	}
	for i := range a.conns {
		a.conns[i].variant = i
	}
	return a, nil
}

// request is an opening handshake that is in order.
func request(user string) []byte {
	return load.AppendRequest(nil, "gateway", "/ws", 0, func(dst []byte, _ int) []byte {
		return append(dst, "X-Bfl-User: "+user+"\r\n"...)
	})
}

// Run attacks until ctx is done, resets all connections and reports.
func (a *Attacker) Run(ctx context.Context) (Counts, error) {
	defer a.hangUpAll()
	began := time.Now()
	for ctx.Err() == nil {
		events, err := a.poller.Wait(min(longest, a.pace(time.Since(began))))
		if err != nil {
			return a.counts, fmt.Errorf("abuse: waiting for events: %w", err)
		}
		for i := range events {
			a.readable(events[i].Fd)
		}
	}
	return a.counts, nil
}

func (a *Attacker) hangUpAll() {
	for i := range a.conns {
		if a.conns[i].state != down {
			sock.HangUp(int(a.conns[i].fd))
		}
	}
	a.poller.Close()
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
	if c.state == down && !a.dial(i, c) {
		return
	}
	if len(c.rest) > 0 {
		a.flush(i, c)
		return
	}
	if c.state != up || c.then == vanish {
		return
	}
	m := a.kind.move(turn{variant: c.variant, n: c.moves, rand: a.rand})
	c.moves++
	c.then, c.rest = m.then, m.send
	a.counts.Sent += uint64(m.count)
	a.flush(i, c)
}

// dial begins a connection. Its handshake is sent at once, or waits as the rest
// of a move does.
func (a *Attacker) dial(i int32, c *conn) bool {
	n := int(i)
	from := netip.AddrFrom4([4]byte{127, 1, byte(n / perSource / 250), byte(1 + n/perSource%250)})
	fd, err := sock.Dial(a.cfg.Target, from, a.kind.receive)
	if err != nil {
		a.counts.fail(err)
		return false
	}
	if err := a.poller.Add(fd, i, unix.EPOLLIN); err != nil {
		sock.HangUp(fd)
		a.counts.fail(fmt.Errorf("watching a socket: %w", err))
		return false
	}
	a.counts.Dialled++
	*c = conn{fd: int32(fd), state: up, variant: (c.variant + 1) % a.kind.variants}
	if !a.kind.bare(c.variant) {
		c.state, c.rest = asked, a.request
	}
	return true
}

// flush sends what is left of a move, and then does what follows it.
func (a *Attacker) flush(i int32, c *conn) {
	for len(c.rest) > 0 {
		n, err := sock.Write(int(c.fd), c.rest)
		a.counts.SentBytes += uint64(n)
		if err != nil {
			if !sock.WouldBlock(err) && !errors.Is(err, unix.ENOTCONN) {
				a.hangUp(c, &a.counts.Ended)
			}
			return
		}
		c.rest = c.rest[n:]
	}
	switch c.then {
	case reset:
		a.hangUp(c, &a.counts.Hangups)
	case leave:
		a.counts.Hangups++
		unix.Close(int(c.fd))
		c.state = down
	case vanish:
		if err := ignoreAll(int(c.fd)); err != nil {
			a.counts.fail(err)
		}
	}
}

// hangUp ends a connection with a reset, or gives up one that is no more, and
// counts it.
func (a *Attacker) hangUp(c *conn, count *uint64) {
	*count++
	sock.HangUp(int(c.fd))
	c.state = down
}

func (a *Attacker) readable(i int32) {
	c := &a.conns[i]
	if c.state == down {
		return // ended by an earlier event of the same batch
	}
	n, err := sock.Read(int(c.fd), a.buf)
	switch {
	case err != nil && sock.WouldBlock(err):
		return
	case err != nil || n == 0:
		a.hangUp(c, &a.counts.Ended)
		return
	}
	a.counts.GotBytes += uint64(n)
	data := a.buf[:n]
	a.counts.answered(data)
	switch {
	case c.state == asked && n >= 12 && string(data[9:12]) == "101":
		a.counts.Upgraded++
		c.state = up
		if a.kind.deaf {
			a.stopReading(i, c)
		}
	case c.then == resetOnReply:
		a.hangUp(c, &a.counts.Hangups)
	}
}

// stopReading leaves what comes in the kernel. A connection that breaks is still
// noticed; one that the server ends in order is not, behind what is unread.
func (a *Attacker) stopReading(i int32, c *conn) {
	if err := a.poller.Modify(int(c.fd), i, 0); err != nil {
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
