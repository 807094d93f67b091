package hub

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

// paced is a gateway of one loop whose connections earn what they may spend only
// when the test says so.
type paced struct {
	*gateway
	elapsed atomic.Int64 // nanoseconds
	now     uint32
}

func startPaced(t *testing.T, rates Rates) *paced {
	t.Helper()
	var p paced
	var received func(c *netpoll.Conn, bytes int)
	p.gateway = start(t, Config{Rates: rates}, netpoll.Config{Loops: 1, Received: func(c *netpoll.Conn, bytes int) { received(c, bytes) }})
	p.on(0, func(*netpoll.Loop) {
		received = p.Received
		p.clock = func() time.Duration { return time.Duration(p.elapsed.Load()) }
	})
	p.now = 100 // ahead of the loop's own ticks
	p.tick(p.now)
	return &p
}

// pass lets time pass, with a tick at its end.
func (p *paced) pass(d time.Duration) {
	p.t.Helper()
	p.elapsed.Add(int64(d))
	p.now += ticks(d)
	p.tick(p.now)
}

// stopped waits until the only connection is not read, for the nth time.
func (p *paced) stopped(n int) {
	p.t.Helper()
	for paused := false; !paused; {
		p.on(0, func(l *netpoll.Loop) {
			for slot := range l.Slots() {
				if c := l.At(slot); c != nil {
					paused = c.PausedFor(netpoll.RateLimit)
				}
			}
		})
		if p.t.Context().Err() != nil {
			p.t.Fatal("it is still read")
		}
	}
	if s := p.Stats(); s.OverMessageRate+s.OverByteRate != uint64(n) {
		p.t.Errorf("%d and %d times over the rate, want %d", s.OverMessageRate, s.OverByteRate, n)
	}
}

// delivered requires that the app has got n messages, and no more.
func (p *paced) delivered(n int) {
	p.t.Helper()
	events := p.app.count(p.t, "message", n)
	got := 0
	for _, e := range events {
		if e.action == "message" {
			got++
		}
	}
	if got != n {
		p.t.Fatalf("%d messages were delivered, want %d", got, n)
	}
}

// dialRaw upgrades by hand.
func (p *paced) dialRaw() net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		p.t.Fatalf("%v, %v", resp, err)
	}
	return conn
}

func TestAClientOverItsMessageRateIsReadAsFastAsTheRateAllows(t *testing.T) {
	p := startPaced(t, Rates{Messages: 2, MessageBurst: 4})
	c := p.dial("alice")
	for range 10 {
		c.say("m")
	}
	p.delivered(5) // the burst, and the one that made the debt
	p.stopped(1)
	p.delivered(5)
	p.pass(499 * time.Millisecond)
	p.delivered(5)
	p.pass(time.Millisecond)
	p.delivered(6)
	p.stopped(2)
	p.pass(time.Second)
	p.delivered(8)
	p.stopped(3)
	p.pass(time.Hour)
	p.delivered(10)
	c.say("m", "m")
	p.delivered(12)
	if s := p.Stats(); s.OverMessageRate != 3 || s.OverByteRate != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPingsOfBothKindsCountAsMessages(t *testing.T) {
	for name, ping := range map[string]func(c *client) error{
		"JSON": func(c *client) error {
			return c.Write(context.Background(), websocket.MessageText, []byte(`{"event":"ping"}`))
		},
		"frames": func(c *client) error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return c.Ping(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPaced(t, Rates{Messages: 2, Close: true})
			c := p.dial("alice")
			for range 4 {
				if err := ping(c); err != nil {
					t.Fatal(err)
				}
			}
			ping(c) // one too many
			if code, reason := c.ends(); code != 1008 || reason != "rate limit" {
				t.Errorf("closed with %d %q", code, reason)
			}
			if end := p.app.count(t, "close", 1)[1].end; end != (forward.End{Code: 1008, Reason: "rate limit", Initiator: "gateway"}) {
				t.Errorf("close says %+v", end)
			}
			p.on(0, func(*netpoll.Loop) {})
			if s := p.Stats(); s.OverMessageRate != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAMessageThatClosesIsNotDelivered(t *testing.T) {
	p := startPaced(t, Rates{Messages: 1, MessageBurst: 1, Close: true})
	c := p.dial("alice")
	c.say("one", "two")
	c.ends()
	p.app.count(t, "close", 1)
	p.delivered(1)
}

func TestAMessageLargerThanTheByteBurstIsDeliveredAndPaidFor(t *testing.T) {
	p := startPaced(t, Rates{Bytes: 1000, ByteBurst: 1000})
	conn := p.dialRaw()
	// With one write each, so that what is read is not left to chance.
	write := func(bytes ...[]byte) {
		if _, err := conn.Write(slices.Concat(bytes...)); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte{0x82, 0x80 | 126, 10_000 >> 8, 10_000 & 0xff, 0, 0, 0, 0}, make([]byte, 10_000))
	p.delivered(1)
	p.stopped(1)
	write([]byte{0x82, 0x80 | 4, 0, 0, 0, 0}, []byte("next"))
	p.pass(9 * time.Second) // 10,008 bytes with the header, 1,000 of them the burst
	p.delivered(1)
	p.pass(time.Second)
	p.delivered(2)
}

func TestWhatIsNoWholeMessageYetCountsInBytes(t *testing.T) {
	p := startPaced(t, Rates{Bytes: 1000, ByteBurst: 1000, Close: true})
	c := p.dial("alice")
	w, err := c.Writer(t.Context(), websocket.MessageBinary)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // fragments without end
		_, err = w.Write(make([]byte, 5000))
	}
	if code, reason := c.ends(); code != 1008 || reason != "rate limit" {
		t.Errorf("closed with %d %q", code, reason)
	}
	if s := p.Stats(); s.OverByteRate != 1 || s.OverMessageRate != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAConnectionStoppedForItsRateAndForTheAppWaitsForBoth(t *testing.T) {
	p := startPaced(t, Rates{Messages: 1, MessageBurst: 1})
	p.app.full = func(data []byte) bool { return string(data) == "full" }
	c := p.dial("alice")
	c.say("one", "full", "three")
	p.delivered(2)
	p.stopped(1)
	p.pass(time.Hour) // the rate would let it go on
	p.delivered(2)
	p.Resume(p.app.count(t, "message", 2)[1].src.Key)
	p.delivered(3)

	// And the other way round.
	c.say("full", "five")
	p.delivered(4)
	p.stopped(2)
	p.Resume(p.app.count(t, "message", 2)[1].src.Key)
	p.on(0, func(*netpoll.Loop) {})
	p.delivered(4)
	p.pass(time.Hour)
	p.delivered(5)
}

func TestANewConnectionInTheSlotOfAStoppedOneStartsAfresh(t *testing.T) {
	p := startPaced(t, Rates{Messages: 1, MessageBurst: 1})
	c := p.dial("alice")
	c.say("one", "two")
	p.stopped(1)
	if _, err := p.Hub.Close(t.Context(), Targets{Conns: []string{c.id}}, 0, ""); err != nil {
		t.Fatal(err)
	}
	c.ends()
	waits := 0
	p.on(0, func(*netpoll.Loop) { p.loops[0].goOn = func(uint32) { waits++ } })
	p.pass(time.Hour)
	if waits != 0 {
		t.Error("its wait went on when it had gone")
	}
	p.on(0, func(*netpoll.Loop) { p.loops[0].goOn = func(slot uint32) { p.Hub.goOn(p.loops[0], slot) } })
	c = p.dial("bob")
	c.say("three")
	p.delivered(3)
	if n := p.Stats().OverMessageRate; n != 1 {
		t.Errorf("the newcomer inherits a debt: %d times over", n)
	}
	p.pass(10 * time.Second)
	c.say("four", "five")
	p.delivered(5)
}

func TestWithoutRatesNothingIsKeptOrMeasured(t *testing.T) {
	sim := simulate(t, 1, Config{})
	sim.clock = nil // nobody may ask
	id := sim.mustEnter(t, 0, 1, "alice")
	if sim.loops[0].buckets != nil {
		t.Error("there are token buckets")
	}
	sim.leave(id)
	g := start(t, Config{}, netpoll.Config{Loops: 1})
	g.dial("alice")
	g.on(0, func(l *netpoll.Loop) {
		g.clock = nil
		g.Received(l.At(0), 1<<30)
	})
}

func TestRatesThatCannotBeKeptAreRefused(t *testing.T) {
	for name, rates := range map[string]Rates{
		"negative messages":          {Messages: -1},
		"negative burst":             {Messages: 1, MessageBurst: -1},
		"negative bytes":             {Bytes: -1},
		"negative burst of bytes":    {Bytes: 1, ByteBurst: -1},
		"less than a second's worth": {Messages: 10, MessageBurst: 9},
		"of bytes, too":              {Bytes: 10, ByteBurst: 9},
	} {
		if _, err := New(Config{Rates: rates}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
