package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
	"ws-gateway/netpoll/wire"
)

// relaying are instances whose sessions can be resumed at each other.
func relaying(t *testing.T, n int, change ...func(*Config)) (*localbus.Exchange, []*instance) {
	t.Helper()
	x := localbus.NewExchange()
	var all []*instance
	for i := range n {
		all = append(all, beginRelaying(t, x, string(rune('a'+i)), change...))
	}
	for _, i := range all {
		i.await("the others", func() bool {
			v, relays := i.view.Load(), 0
			for _, m := range v.live {
				if m.relays && m.met { // or a question would wait for the next heartbeat
					relays++
				}
			}
			return relays == n-1
		})
	}
	return x, all
}

func beginRelaying(t *testing.T, x *localbus.Exchange, name string, change ...func(*Config)) *instance {
	t.Helper()
	i := &instance{t: t}
	h, err := hub.New(hub.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := netpoll.New(netpoll.Config{
		Handler: h, Resumer: h, Loops: 2, ResumeFor: time.Hour, ResumeBuffer: 8 << 20, ResumeMemory: 64 << 20, MaxPendingBytes: 8 << 20, CloseTimeout: time.Second, Log: zerolog.Nop(),
		Relay: func(session []byte, turn uint32, client netip.Addr) func(*netpoll.Handshake) {
			return i.Relay(session, turn, client)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach(sockets)
	addr, err := sockets.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.hub, i.addr, i.bus = h, addr.String(), x.Join(h.Instance())
	cfg := Config{
		Hub: h, Bus: i.bus, Instance: h.Instance(), App: "chat", Name: name, Version: "test", Sessions: sockets,
		Timeout: patience, Hold: patience / 2, DeadAfter: patience, Log: zerolog.New(i), listenFor: -1,
	}
	for _, f := range change {
		f(&cfg)
	}
	if i.Cluster, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := sockets.Start(); err != nil {
		t.Fatal(err)
	}
	i.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := sockets.Stop(ctx); err != nil {
			t.Errorf("stopping the sockets: %v", err)
		}
		i.Stop()
		if s := i.relays.snapshot(); s.Open != [relayRoles]int64{} || s.Held != 0 || len(i.relays.ends) != 0 {
			t.Errorf("relays are left: %+v", s)
		}
	})
	return i
}

// traveller is a client that resumes its session wherever it is told to.
type traveller struct {
	t      *testing.T
	dialed sync.Mutex // guards conn in hangUp
	conn   *net.TCPConn
	in     *bufio.Reader

	ID, Token string
	Resumed   bool
	Received  int

	got  []string
	from net.IP // its address; nil: any
}

// tryTo connects to an instance.
func (c *traveller) tryTo(i *instance) error {
	if c.conn != nil {
		c.conn.SetLinger(0)
		c.conn.Close()
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: c.from}}
	conn, err := dialer.Dial("tcp", i.addr)
	if err != nil {
		return err
	}
	c.t.Cleanup(func() { conn.Close() })
	c.dialed.Lock()
	c.conn, c.in = conn.(*net.TCPConn), bufio.NewReader(conn)
	c.dialed.Unlock()
	conn.SetDeadline(time.Now().Add(patience))
	offer := wire.ResumeProtocol
	if c.Token != "" {
		offer += fmt.Sprintf(", %s.%s.%d", wire.ResumeProtocol, c.Token, len(c.got))
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Bfl-User: ann\r\nSec-WebSocket-Protocol: %s\r\n\r\n", offer)
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %s, Retry-After %s", response.Status, response.Header.Get("Retry-After"))
	}
	greeting, err := c.frame()
	if err != nil {
		return err
	}
	c.Resumed = false
	return json.Unmarshal([]byte(greeting[1:]), c)
}

// frame reads the payload of a data frame.
func (c *traveller) frame() (string, error) {
	var head [10]byte
	if _, err := io.ReadFull(c.in, head[:2]); err != nil {
		return "", err
	}
	length := uint64(head[1])
	switch length {
	case 126:
		io.ReadFull(c.in, head[2:4])
		length = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		io.ReadFull(c.in, head[2:])
		length = binary.BigEndian.Uint64(head[2:])
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(c.in, payload)
	return string(payload), err
}

// read takes messages of the app until there are n.
func (c *traveller) read(n int) error {
	for len(c.got) < n {
		payload, err := c.frame()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(payload, "\x1e") {
			c.got = append(c.got, payload)
		}
	}
	return nil
}

// Packets get lost, links go down, and the client changes instances: each message arrives
// once and in order.
func TestWhateverBecomesOfPacketsAClientGetsEachMessageOnce(t *testing.T) {
	x, all := relaying(t, 3)
	random := rand.New(rand.NewPCG(1, 2))
	c := &traveller{t: t}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	id := c.ID
	var mu sync.Mutex
	lose := 0 // of a thousand packets of relays
	x.SetFate(func(_, _ localbus.Instance, b []byte) localbus.Fate {
		p, err := packet.Parse(b)
		if err != nil || p.Kind != packet.RelayForth && p.Kind != packet.RelayBack {
			return localbus.Arrives
		}
		mu.Lock()
		defer mu.Unlock()
		switch n := random.IntN(1000); {
		case n < lose:
			return localbus.IsLost
		case n < 2*lose:
			return localbus.ComesTwice
		default:
			return localbus.Arrives
		}
	})
	var want []string
	moves := 0
	for step := range 150 {
		text := fmt.Sprintf("%d %s", step, strings.Repeat("x", step*step%50_000))
		want = append(want, text)
		all[0].mustSend(hub.Targets{Users: []string{"ann"}}, text)
		if step%5 != 4 {
			continue
		}
		mu.Lock()
		lose = step % 2 * 20
		mu.Unlock()
		for c.read(len(want)) != nil || step%25 == 4 && moves <= step/25 {
			moves++
			mu.Lock()
			lose = 0 // or a question that is lost would be waited for
			mu.Unlock()
			to := all[moves%3]
			if err := c.tryTo(to); err != nil {
				continue
			}
			if !c.Resumed || c.ID != id {
				t.Fatalf("step %d: the session is lost: %+v", step, c)
			}
		}
	}
	if got := strings.Join(c.got, "\n"); got != strings.Join(want, "\n") {
		t.Fatalf("%d messages, want %d, or others", len(c.got), len(want))
	}
	s := [2]RelayStats{all[1].relays.snapshot(), all[0].relays.snapshot()}
	if s[0].Opened[hasClient] == 0 || s[1].Opened[hasSession] == 0 || s[1].Bytes[hasSession] == 0 {
		t.Errorf("%+v", s)
	}
}

// An instance that answers whatever it likes harms nobody.
func TestGarbageOnARelayHarmsNobody(t *testing.T) {
	x, all := relaying(t, 2)
	c := &traveller{t: t}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.tryTo(all[1]); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
	random := rand.New(rand.NewPCG(3, 4))
	evil := x.Join(localbus.Instance{66})
	for n := range 20_000 {
		to := all[n%2]
		p := packet.Packet{Sender: all[1-n%2].cfg.Instance, Receiver: to.cfg.Instance, Request: uint64(random.IntN(50) + 100), Body: make([]byte, random.IntN(40))}
		p.Kind = packet.RelayForth + packet.Kind(random.IntN(2))
		for i := range p.Body {
			p.Body[i] = byte(random.IntN(8))
		}
		p.FieldsLength = uint32(random.IntN(len(p.Body) + 1))
		evil.Publish(to.cfg.Instance, p.Append(nil))
	}
	all[0].mustSend(hub.Targets{Users: []string{"ann"}}, "still here")
	if err := c.read(1); err != nil || c.got[0] != "still here" {
		t.Fatalf("%q %v", c.got, err)
	}
	evil.Close()
}

// A restart of NATS is when clients come back: they are found once the others are heard.
func TestAClientThatComesWhileTheLinkIsDownWaitsForIt(t *testing.T) {
	_, all := relaying(t, 2)
	c := &traveller{t: t}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	all[1].bus.SetUp(false)
	all[1].await("the link", func() bool { return !all[1].Up() })
	var coming sync.WaitGroup
	coming.Go(func() {
		if err := c.tryTo(all[1]); err != nil || !c.Resumed {
			t.Errorf("%v %+v", err, c)
		}
	})
	all[1].await("the client", func() bool { return all[1].relays.snapshot().Open[hasClient] == 1 })
	all[1].bus.SetUp(true)
	coming.Wait()
}

// Of all relays the one that holds most ends if they hold too much.
func TestTheRelayThatHoldsMostGivesWay(t *testing.T) {
	_, all := relaying(t, 2, func(c *Config) { c.MaxCall, c.Buffer = 64<<10, 64<<10 })
	var limit = all[0].cfg.Buffer
	payload := string(bytes.Repeat([]byte("x"), 6<<20))
	var clients []*traveller
	for range 1 + limit/(32<<10) + 8 {
		c := &traveller{t: t}
		if err := c.tryTo(all[0]); err != nil {
			t.Fatal(err)
		}
		if err := c.tryTo(all[1]); err != nil || !c.Resumed {
			t.Fatalf("%v %+v", err, c)
		}
		c.conn.SetReadBuffer(1)
		clients = append(clients, c)
	}
	for _, c := range clients { // none of which reads
		all[0].hub.Post(t.Context(), hub.Targets{Conn: c.ID}, netpoll.NewFrame(ws.OpText, []byte(payload)), nil)
	}
	all[1].await("a relay that gives way", func() bool { return all[1].relays.snapshot().Torn > 0 })
	if held := all[1].relays.held.Load(); held > int64(limit)+1<<20 {
		t.Errorf("%d bytes are held", held)
	}
}

// A session's instance whose link was down for a moment has ended its relays, and could tell
// nobody. A client that only listens learns it when that instance is heard again.
func TestAClientThatOnlyListensLearnsThatItsSessionHasGoneAway(t *testing.T) {
	_, all := relaying(t, 2)
	c := &traveller{t: t}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.tryTo(all[1]); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
	all[0].bus.SetUp(false)
	all[0].await("the link", func() bool { return !all[0].Up() })
	all[0].bus.SetUp(true)
	if _, err := c.frame(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection goes on: %v", err)
	}
	if err := c.tryTo(all[1]); err != nil || !c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
}

// An instance takes nothing of a stranger: it is asked when it knows who asks.
func TestAnInstanceIsAskedOnceItKnowsTheOther(t *testing.T) {
	x, all := relaying(t, 1)
	c := &traveller{t: t}
	if err := c.tryTo(all[0]); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		var mu sync.Mutex
		asked, told := false, 0
		x.SetFate(func(from, _ localbus.Instance, b []byte) localbus.Fate {
			if p, err := packet.Parse(b); err == nil && from != all[0].cfg.Instance {
				mu.Lock()
				defer mu.Unlock()
				switch p.Kind {
				case packet.Heartbeat:
					told++
				case packet.RelayForth:
					asked = asked || told > 0
				}
			}
			return localbus.Arrives
		})
		late := beginRelaying(t, x, fmt.Sprint("late", n))
		late.await("the other", func() bool { return len(late.view.Load().live) > 0 })
		if err := c.tryTo(late); err != nil || !c.Resumed {
			t.Fatalf("%v %+v", err, c)
		}
		mu.Lock()
		if !asked {
			t.Error("asked before it was told")
		}
		mu.Unlock()
	}
}

// expectAway expects that calls for a connection of an instance that restarts name that: the
// connection goes on, and nothing reaches it meanwhile.
func expectAway(t *testing.T, at *instance, conn, name string) {
	t.Helper()
	for _, to := range []hub.Targets{{Conn: conn}, {Conns: []string{conn}}, {Users: []string{"ann"}}, {Groups: []string{"g"}}, {All: true}} {
		lost(t, at.send(to, "in vain"), false, name)
		_, err := at.SendThen(t.Context(), to, netpoll.NewFrame(ws.OpText, []byte("in vain")), true, nil)
		lost(t, err, false, name)
	}
	_, _, ok, err := at.Describe(t.Context(), conn)
	if lost(t, err, false, name); ok {
		t.Error("it is described")
	}
	n, err := at.Join(t.Context(), hub.Targets{Conns: []string{conn}}, []string{"g"})
	if lost(t, err, false, name); n != 0 {
		t.Error(n)
	}
	_, _, err = at.CountMembers(t.Context(), nil, hub.Query{})
	lost(t, err, false, name)
	_, err = at.listed(nil, nil, hub.Query{})
	lost(t, err, false, name)
	stranger := []byte(conn)
	stranger[0] ^= 3 // of an instance that nobody knows: it does not exist
	at.mustSend(hub.Targets{Conn: string(stranger)}, "to nobody")
}

// Those that restart are missing no longer than they are waited for.
func TestAnInstanceThatDoesNotComeBackIsNotMissingForEver(t *testing.T) {
	x, all, forward, clocks := hurrying(t, 1)
	stays := all[0]
	goes := beginRelaying(t, x, "goes", clocks, func(c *Config) { c.Returns = func() time.Duration { return time.Hour } })
	for _, i := range []*instance{stays, goes} {
		i.await("the other", func() bool { return len(i.view.Load().live) == 1 })
	}
	goes.Stop()
	stays.await("the goodbye", func() bool { return len(stays.view.Load().live) == 0 })
	lost(t, stays.send(hub.Targets{All: true}, "in vain"), false, "goes")
	forward(longestReturn)
	stays.await("that it is not waited for", func() bool { return len(stays.view.Load().missing) == 0 })
	stays.mustSend(hub.Targets{All: true}, "to all")
}

// A client that comes for a session of an instance that restarts keeps it, for a time.
func TestAnInstanceThatRestartsIsWaitedForByItsName(t *testing.T) {
	x := localbus.NewExchange()
	returns := time.Hour
	stays := beginRelaying(t, x, "stays")
	goes := func(name string) *instance {
		i := beginRelaying(t, x, name, func(c *Config) { c.Returns = func() time.Duration { return returns } })
		stays.await("the other", func() bool { v := stays.view.Load(); return len(v.live) == 1 && v.live[0].name == name })
		i.await("the other", func() bool { return len(i.view.Load().live) == 1 })
		return i
	}
	restarting := func() uint64 { return stays.relays.snapshot().Missed[RelayRestarting] }
	i := goes("goes")
	c := &traveller{t: t}
	if err := c.tryTo(i); err != nil {
		t.Fatal(err)
	}
	i.Stop()
	stays.await("the goodbye", func() bool { return len(stays.view.Load().live) == 0 })
	if err := c.tryTo(stays); err == nil || !strings.Contains(err.Error(), "503") || restarting() != 1 {
		t.Fatalf("%v, counted %d", err, restarting())
	}
	expectAway(t, stays, c.ID, "goes")
	goes("goes") // without the sessions
	stays.mustSend(hub.Targets{Conn: c.ID}, "to nobody")
	if _, _, ok, err := stays.Describe(t.Context(), c.ID); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if err := c.tryTo(stays); err != nil || c.Resumed {
		t.Fatalf("%v %+v", err, c)
	}
}

func TestAsManyInstancesThatRestartAreWaitedForAsThereMayBe(t *testing.T) {
	r, none := returning{}, members.New(members.Config{})
	member := func(n int, returns time.Duration) *members.Member {
		id := packet.Instance{1, byte(n)}
		return &members.Member{Heartbeat: members.Heartbeat{ID: id, Makes: id, Name: fmt.Sprint(n), Returns: returns}}
	}
	for n := range mostReturning + 1 {
		r.left(member(n, time.Hour), none, time.Duration(n))
	}
	if _, first := r[packet.Instance{1, 0}]; first || len(r) != mostReturning {
		t.Errorf("%d are waited for, the first: %v", len(r), first)
	}
	r.left(member(1, 0), none, 0)     // not for long
	r.heard(member(2, 0))             // it is back
	r.left(member(3, 1), none, never) // silent already
	var v view
	r.over(longestReturn - 1)
	r.addTo(&v, none)
	for n, want := range []bool{false, false, false, true, true} {
		if got := v.returns(packet.Instance{1, byte(n)}, longestReturn-1); got != want {
			t.Errorf("%d is waited for: %v", n, got)
		}
	}
	if r.over(never); len(r) != 0 {
		t.Errorf("%d are never forgotten", len(r))
	}
}
