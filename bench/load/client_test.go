package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// echoServer echoes on a WebSocket implementation that is not ours.
func echoServer(t *testing.T) netip.AddrPort { return room(t, echo) }

// listening is a listener, and where it is.
func listening(t *testing.T, addr string) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, netip.MustParseAddrPort(l.Addr().String())
}

// rawServer upgrades and leaves the rest of each connection to then.
func rawServer(t *testing.T, then func(net.Conn, *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, addr := listening(t, "127.0.0.1:0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			r, err := http.ReadRequest(in)
			if err == nil {
				var k [24]byte
				copy(k[:], r.Header.Get("Sec-WebSocket-Key"))
				fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
				fmt.Fprintf(c, "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(k))
				then(c, in)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return addr
}

// prepared is a client that has connected nothing yet.
func prepared(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connect(t *testing.T, cfg Config, conns int) *Client {
	t.Helper()
	c := prepared(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := c.Connect(ctx, conns); err != nil {
		t.Fatal(err)
	}
	if c.Open() != conns {
		t.Fatalf("%d connections are open, not %d", c.Open(), conns)
	}
	return c
}

// replies is how many the workers have.
func replies(c *Client) (done uint64) {
	for _, w := range c.workers {
		done += w.ex.done.Load()
	}
	return done
}

// until waits until the workers have n replies.
func until(t *testing.T, c *Client, n uint64) {
	t.Helper()
	wait(t, func() bool { return replies(c) >= n })
}

// wait waits until ready says so.
func wait(t *testing.T, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Minute)
	for !ready() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("what must happen has not happened for ten minutes")
		}
	}
}

// made is a message that must be possible.
func made(t *testing.T, m *Message, err error) *Message {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func bare(t *testing.T, size int) *Message {
	t.Helper()
	m, err := Bare(Binary, size)
	return made(t, m, err)
}

func event(t *testing.T, size int) *Message {
	t.Helper()
	m, err := Event(size)
	return made(t, m, err)
}

func TestEveryMessageOfTheClosedLoopGetsItsReply(t *testing.T) {
	for name, cfg := range map[string]Config{
		"one thread":        {Threads: 1},
		"two threads":       {Threads: 2},
		"two busy threads":  {Threads: 2, Busy: true},
		"window of one":     {Threads: 1, Window: 1},
		"identity in heads": {Header: func(dst []byte, conn int) []byte { return fmt.Appendf(dst, "X-Bfl-User: u%d\r\n", conn) }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Target = echoServer(t)
			c := connect(t, cfg, 101)
			x := c.Start(Traffic{Message: bare(t, 64)})
			until(t, c, 200)
			x.Begin()
			until(t, c, replies(c)+800) // however many there were before
			r := x.End()
			if r.Failures != 0 {
				t.Fatalf("%d failures: %q", r.Failures, r.Details)
			}
			if r.Messages == 0 || r.Latency.TotalCount() == 0 || r.Percentile(50) <= 0 || r.Percentile(50) > r.Percentile(100) {
				t.Errorf("%d messages, %d latencies, median %v ms", r.Messages, r.Latency.TotalCount(), r.Percentile(50))
			}
			if r.CPU <= 0 || r.Load <= 0 || r.Load > 1 || r.Rate() <= 0 {
				t.Errorf("CPU %v, load %v, rate %v", r.CPU, r.Load, r.Rate())
			}
			if err := c.Check(t.Context()); err != nil || c.Open() != 101 {
				t.Errorf("afterwards %d are open: %v", c.Open(), err)
			}
		})
	}
}

func TestMessagesLargerThanAllBuffersComeBackWhole(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t)}, 2)
	x := c.Start(Traffic{Message: bare(t, 3<<20)})
	x.Begin()
	until(t, c, 4)
	if r := x.End(); r.Failures != 0 || r.Messages < 4 {
		t.Errorf("%d messages, failures %q", r.Messages, r.Details)
	}
}

func TestAnExchangeCanFollowAnotherOnTheSameConnections(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t), Threads: 2}, 10)
	for _, traffic := range []Traffic{
		{Message: bare(t, 64)}, {Message: bare(t, 300), Active: 3}, {Message: bare(t, 64), Rate: 5000},
	} {
		x := c.Start(traffic)
		x.Begin()
		until(t, c, 50)
		if r := x.End(); r.Failures != 0 {
			t.Fatalf("failures %q", r.Details)
		}
	}
}

func TestOnlyTheActiveConnectionsSend(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t), Threads: 2}, 10)
	x := c.Start(Traffic{Message: bare(t, 64), Active: 3})
	until(t, c, 30)
	x.End()
	var sending int
	for _, w := range c.workers {
		for i := range w.conns {
			if w.conns[i].sent > 0 {
				sending++
			}
		}
	}
	if sending != 3 {
		t.Errorf("%d connections have sent", sending)
	}
}

func TestMessagesOfOneWayTrafficNeedNoReplies(t *testing.T) {
	arrived := make(chan int64, 1)
	target := rawServer(t, func(_ net.Conn, in *bufio.Reader) {
		n, _ := io.Copy(io.Discard, in)
		arrived <- n
	})
	c := connect(t, Config{Target: target}, 1)
	x := c.Start(Traffic{Message: bare(t, 64), Rate: 5000, OneWay: true})
	x.Begin()
	until(t, c, replies(c)+50)
	r := x.End()
	if r.Failures != 0 || r.Messages < 50 {
		t.Errorf("%d messages, failures %q", r.Messages, r.Details)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	sent := c.workers[0].conns[0].sent
	c.Close()
	if n := <-arrived; n > int64(sent)*(2+4+64) || n == 0 { // the reset may overtake the last ones
		t.Errorf("%d bytes arrived of %d messages", n, sent)
	}
}

// The open loop does not wait for replies: a server that answers its first
// message only when it has seen 200, at 1,000 a second, is late by that time.
func TestTheOpenLoopCountsLatencyFromTheDueTime(t *testing.T) {
	const held = 200
	begun, begin := context.WithCancel(t.Context())
	target := rawServer(t, func(c net.Conn, in *bufio.Reader) {
		first := make([]byte, held*(2+4+64))
		if _, err := io.ReadFull(in, first); err == nil {
			<-begun.Done()
			echoRaw(c, bufio.NewReader(io.MultiReader(bytes.NewReader(first), in)))
		}
	})
	c := connect(t, Config{Target: target}, 1)
	x := c.Start(Traffic{Message: bare(t, 64), Rate: 1000})
	x.Begin()
	begin()
	until(t, c, 2*held)
	r := x.End()
	if r.Failures != 0 {
		t.Fatalf("failures %q", r.Details)
	}
	if longest := r.Percentile(100); longest < held-1 {
		t.Errorf("the longest latency is %v ms, the first message waited for %d more", longest, held-1)
	}
	w := c.workers[0]
	if sent := w.conns[0].sent; uint64(sent) != w.ex.completed {
		t.Errorf("%d sent, %d replies", sent, w.ex.completed)
	}
}

// echoRaw sends frames back unmasked, knowing no more than 64 byte messages.
func echoRaw(c net.Conn, in *bufio.Reader) {
	var frame [2 + 4 + 64]byte
	for {
		if _, err := io.ReadFull(in, frame[:]); err != nil {
			return
		}
		for i := range 64 {
			frame[6+i] ^= frame[2+i&3]
		}
		if _, err := c.Write(append([]byte{frame[0], 64}, frame[6:]...)); err != nil {
			return
		}
	}
}

func TestWrongRepliesAreFoundAndNamed(t *testing.T) {
	right := bare(t, 16).frames()
	reply := string(right.answer(0, 0))
	for name, c := range map[string]struct{ answer, want string }{
		"another byte":         {reply[:17] + "!", "wrong from byte 0"},
		"another opcode":       {"\x81" + reply[1:], "wrong from byte 0"},
		"a long length":        {"\x82\x7e\x00\x10" + reply[2:], "wrong from byte 0"},
		"one reply too many":   {reply + reply, "wrong from byte 0"},
		"a close frame":        {"\x88\x0e\x03\xf0ping timeout", `a close frame with 1008 "ping timeout"`},
		"the end":              {"", "the server closed the connection"},
		"the end after a part": {reply[:9], "the server closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			target := rawServer(t, func(conn net.Conn, in *bufio.Reader) {
				io.CopyN(io.Discard, in, 2+4+16)
				io.WriteString(conn, c.answer)
				if c.answer != "" && len(c.answer) != 9 {
					io.Copy(io.Discard, in)
				}
			})
			client := connect(t, Config{Target: target}, 1)
			x := client.Start(Traffic{Message: bare(t, 16)})
			untilLost(t, client)
			r := x.End()
			if r.Failures != 1 || len(r.Details) != 1 || !strings.Contains(r.Details[0], c.want) {
				t.Errorf("%d failures: %q", r.Failures, r.Details)
			}
		})
	}
}

func untilLost(t *testing.T, c *Client) {
	t.Helper()
	wait(t, func() bool { return c.Open() == 0 })
}

func TestRepliesThatNeverComeAreCounted(t *testing.T) {
	target := rawServer(t, func(c net.Conn, in *bufio.Reader) { io.Copy(io.Discard, in) })
	c := connect(t, Config{Target: target}, 1)
	x := c.Start(Traffic{Message: bare(t, 64), Drain: time.Millisecond})
	x.Begin()
	r := x.End()
	if r.Failures != 1 || r.Messages != 0 || len(r.Details) != 1 || !strings.Contains(r.Details[0], "no reply") {
		t.Errorf("%d failures, %d messages: %q", r.Failures, r.Messages, r.Details)
	}
}

func TestARefusedHandshakeEndsConnect(t *testing.T) {
	c := prepared(t, Config{Target: echoServer(t), Path: "/elsewhere"})
	if err := c.Connect(t.Context(), 2); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
}

func TestConnectGivesUpWhenToldAndWhenNobodyListens(t *testing.T) {
	l, silent := listening(t, "127.0.0.1:0") // accepts nothing, so no handshake is answered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := prepared(t, Config{Target: silent}).Connect(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("told: got %v", err)
	}
	l.Close()
	if err := prepared(t, Config{Target: silent}).Connect(t.Context(), 1); err == nil {
		t.Error("nobody listens: no error")
	}
}

func TestCheckFindsConnectionsThatEndedOrSpoke(t *testing.T) {
	for name, c := range map[string]struct{ say, want string }{
		"ended": {"", "closed the connection"},
		"spoke": {"\x81\x02hi", "an idle connection got"},
	} {
		t.Run(name, func(t *testing.T) {
			spoken, speak := context.WithCancel(t.Context())
			target := rawServer(t, func(conn net.Conn, in *bufio.Reader) {
				<-spoken.Done()
				io.WriteString(conn, c.say)
			})
			client := connect(t, Config{Target: target}, 1)
			if err := client.Check(t.Context()); err != nil {
				t.Fatalf("silent and open: %v", err)
			}
			speak()
			var err error
			wait(t, func() bool { err = client.Check(t.Context()); return err != nil })
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAConnectionOverIPv6Works(t *testing.T) {
	l, addr := listening(t, "[::1]:0") // fails on a machine without IPv6
	done := make(chan struct{})
	go func() { // a server that only refuses is enough to see the request arrive
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 400 %s\r\n\r\n", r.Host)
		}
	}()
	c := prepared(t, Config{Target: addr})
	if err := c.Connect(t.Context(), 1); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "400 [::1]:") {
		t.Errorf("got %v", err)
	}
	l.Close()
	<-done
}
