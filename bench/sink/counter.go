package sink

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/load"
	"ws-gateway/bench/sock"
)

// Counter is an app that takes events, single ones or batches, answers each POST
// with 200 and nothing else, and finds out whether a message was lost, doubled,
// changed or out of order. It is one thread over an epoll, so that it takes as
// little as can be of the processors that it shares with the gateway. It serves
// StatsPath too, and tallies (see load.Client.Tally).
type Counter struct {
	addr     netip.AddrPort
	listener int
	poller   *sock.Poller
	buf      []byte
	conns    []counted // by index in the epoll, less 1; 0 there is the listener
	unused   []int32   // indices of conns that have ended
	ledger   ledger
	tallies  []int32
	tally    []byte // what is due to the tallies

	requests, bytes, failed uint64
	failure                 string
}

// counted is a connection to a Counter.
type counted struct {
	fd   int // -1: it has ended
	kept []byte
}

const (
	tallyPath   = "/tally"
	mostBody    = 16 << 20
	mostTallied = 4 << 20 // bytes that wait for a tally
)

// NewCounter listens on a free port of 127.0.0.1. The events must have messages
// like m. The caller must call Serve.
func NewCounter(m *load.Message) (*Counter, error) {
	c := &Counter{buf: make([]byte, 256<<10), ledger: ledger{message: m}}
	c.ledger.received = func(conn uint32) {
		if len(c.tallies) > 0 {
			c.tally = binary.LittleEndian.AppendUint32(c.tally, conn)
		}
	}
	if err := c.listen(); err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p, err := sock.NewPoller()
	if err == nil {
		c.poller = p
		err = p.Add(c.listener, 0, unix.EPOLLIN)
	}
	if err != nil {
		unix.Close(c.listener)
		return nil, fmt.Errorf("watching the listener: %w", err)
	}
	return c, nil
}

func (c *Counter) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	c.addr, err = netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return err
	}
	c.listener, err = sock.Dup(l.(*net.TCPListener))
	return err
}

// Addr is where it serves.
func (c *Counter) Addr() netip.AddrPort { return c.addr }

const nap = 50 * time.Millisecond // between looks whether to stop

// Serve handles requests until ctx is done, and closes everything. Its goroutine
// should have a thread of its own.
func (c *Counter) Serve(ctx context.Context) error {
	defer c.close()
	lively := false
	for ctx.Err() == nil {
		var events []unix.EpollEvent
		var err error
		if lively { // the scheduler need not hear of a look that cannot block
			events, err = c.poller.Poll()
		}
		if err == nil && len(events) == 0 {
			events, err = c.poller.Wait(nap)
		}
		if err != nil {
			return fmt.Errorf("waiting for events: %w", err)
		}
		lively = len(events) > 0
		for i := range events {
			if at := events[i].Fd; at == 0 {
				c.accept()
			} else if c.conns[at-1].fd >= 0 {
				c.readable(at)
			}
		}
		c.flush()
	}
	return nil
}

func (c *Counter) accept() {
	for {
		fd, _, err := unix.Accept4(c.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none is left, or whoever wanted one will notice
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // it would only be slower
		var at int32
		if n := len(c.unused); n > 0 {
			at, c.unused = c.unused[n-1], c.unused[:n-1]
			c.conns[at-1] = counted{fd: fd}
		} else {
			c.conns = append(c.conns, counted{fd: fd})
			at = int32(len(c.conns))
		}
		if err := c.poller.Add(fd, at, unix.EPOLLIN); err != nil {
			c.end(at)
		}
	}
}

func (c *Counter) end(at int32) {
	unix.Close(c.conns[at-1].fd)
	c.conns[at-1] = counted{fd: -1}
	c.unused = append(c.unused, at)
	for i, tally := range c.tallies {
		if tally == at {
			c.tallies = append(c.tallies[:i], c.tallies[i+1:]...)
			break
		}
	}
}

// readable answers the requests that have arrived whole.
func (c *Counter) readable(at int32) {
	conn := &c.conns[at-1]
	n, err := sock.Read(conn.fd, c.buf)
	if sock.WouldBlock(err) {
		return
	}
	if err != nil || n == 0 {
		c.end(at)
		return
	}
	data := c.buf[:n]
	if len(conn.kept) > 0 {
		conn.kept = append(conn.kept, data...)
		data = conn.kept
	}
	for len(data) > 0 {
		r, err := sock.ReadHTTP(data, mostBody)
		path, ok := pathOf(r.Line)
		switch {
		case err != nil:
			c.fail(fmt.Errorf("a request has %w", err))
		case r.Size > 0 && !ok:
			c.fail(fmt.Errorf("a request begins with %.100q", r.Line))
		}
		if err != nil || r.Size > 0 && !ok {
			c.end(at)
			return
		}
		if r.Size == 0 {
			break
		}
		data = data[r.Size:]
		if !c.answer(at, path, r) {
			c.end(at)
			return
		}
	}
	conn.kept = append(conn.kept[:0], data...)
}

// pathOf finds the path in a request's first line.
func pathOf(line []byte) (path []byte, ok bool) {
	_, target, _ := bytes.Cut(line, []byte(" "))
	path, version, _ := bytes.Cut(target, []byte(" "))
	return path, string(version) == "HTTP/1.1"
}

var (
	fine     = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	notFound = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
)

// answer handles a request, and tells whether its connection goes on. A callback
// is answered with 200 even if it is wrong, or it would come again.
func (c *Counter) answer(at int32, path []byte, r sock.HTTP) bool {
	answer := fine
	switch string(path) {
	case CallbackPath:
		c.requests++
		c.bytes += uint64(r.Size)
		if err := c.ledger.body(r.Body); err != nil {
			c.fail(err)
		}
	case StatsPath:
		body, _ := json.Marshal(c.stats()) // numbers and strings
		answer = append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
	case tallyPath:
		answer = binary.LittleEndian.AppendUint32(nil, load.TallyHello)
		c.flush() // what the others know already is nothing to this one
		c.tallies = append(c.tallies, at)
	default:
		answer = notFound
	}
	n, err := sock.Write(c.conns[at-1].fd, answer)
	return err == nil && n == len(answer) // a client that leaves answers lying is none of ours
}

// flush sends the tallies what they are due, if they all take it.
func (c *Counter) flush() {
	if len(c.tally) == 0 {
		return
	}
	for i := len(c.tallies) - 1; i >= 0; i-- {
		at := c.tallies[i]
		n, err := sock.Write(c.conns[at-1].fd, c.tally)
		switch {
		case err == nil && n == len(c.tally):
		case len(c.tallies) == 1 && (err == nil || sock.WouldBlock(err)) && len(c.tally)-n <= mostTallied:
			c.tally = c.tally[:copy(c.tally, c.tally[n:])]
			return // again after the next events, or the nap
		default:
			c.fail(errors.New("a tally was not read, or broke"))
			c.end(at)
		}
	}
	c.tally = c.tally[:0]
}

func (c *Counter) fail(err error) {
	c.failed++
	if c.failure == "" {
		c.failure = err.Error()
	}
}

func (c *Counter) stats() Stats {
	return Stats{
		Open: c.ledger.open, Message: c.ledger.messages, Close: c.ledger.closed, Failed: c.failed, Failure: c.failure,
		Requests: c.requests, Bytes: c.bytes,
	}
}

func (c *Counter) close() {
	for i := range c.conns {
		if fd := c.conns[i].fd; fd >= 0 {
			unix.Close(fd)
		}
	}
	unix.Close(c.listener)
	c.poller.Close()
}
