package natsbus

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/natsbus/natstest"
)

// scripted is a server that takes whoever connects, and says what it is told to.
type scripted struct {
	net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

func startScripted(t *testing.T) *scripted {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{Listener: l}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			work.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.say("")
		work.Wait()
	})
	return s
}

func serve(c net.Conn) {
	fmt.Fprint(c, `INFO {"server_id":"x","version":"2.15.0","proto":1,"max_payload":1048576,"headers":true}`+"\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if lines.Text() == "PING" {
			fmt.Fprint(c, "PONG\r\n")
		}
	}
}

// say says something to all clients, and hangs up.
func (s *scripted) say(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		fmt.Fprint(c, what)
		c.(*net.TCPConn).CloseWrite()
	}
	s.conns = nil
}

// The complaints are those of nats-server 2.15, in its words, and one that it does not have.
func TestWhateverAServerComplainsOfTheLinkIsBackAfterIt(t *testing.T) {
	for complaint, ends := range map[string]bool{ // whether the client's library gives up after it
		"Maximum Payload Violation":                                  true,
		"maximum control line exceeded":                              true,
		"Invalid Publish Subject":                                    true,
		"Invalid Subject":                                            true,
		"Slow Consumer":                                              true,
		"Authentication Timeout":                                     true,
		"Failed Account Registration":                                true,
		"Secure Connection - TLS Required":                           true,
		"Connection throttling is active. Please try again later.":   true,
		"invalid client protocol":                                    true,
		"no responders requires headers support":                     true,
		"Something that is not there yet":                            true,
		"Unknown Protocol Operation":                                 false,
		"Stale Connection":                                           false,
		"maximum connections exceeded":                               false,
		"maximum account active connections exceeded":                false,
		"Authorization Violation":                                    false,
		"User Authentication Expired":                                false,
		"User Authentication Revoked":                                false,
		"Account Authentication Expired":                             false,
		`Permissions Violation for Publish to "wsg.chat.to.x.y"`:     false,
		`Permissions Violation for Subscription to "wsg.other.none"`: false,
	} {
		t.Run(complaint, func(t *testing.T) {
			t.Parallel()
			s := startScripted(t)
			a := connect(t, "nats://"+s.Addr().String(), 1, nil)
			for round := range uint64(2) {
				a.expect(bus.Up)
				if st := a.Stats(); !st.Up || st.Links != round+1 {
					t.Errorf("%+v", st)
				}
				s.say("-ERR '" + complaint + "'\r\n")
				a.expect(bus.Down)
			}
			a.expect(bus.Up)
			log := a.logged()
			over, back := strings.Count(log, "NATS has ended the connection"), strings.Count(log, "connected to NATS")
			if (over == 2) != ends || !ends && over > 0 || back != 3 || ends && !strings.Contains(strings.ToLower(log), strings.ToLower(complaint)) {
				t.Errorf("logged\n%s", log)
			}
		})
	}
}

func TestAClientThatIsClosedByUsIsNotReplaced(t *testing.T) {
	s := natstest.Start(t, nil)
	a := &end{t: t, more: make(chan struct{}, 1)}
	var err error
	if a.Bus, err = New(Config{Servers: []string{s.URL()}, App: "chat", Instance: [8]byte{1}, Log: zerolog.New(a)}); err != nil {
		t.Fatal(err)
	}
	a.expect(bus.Up)
	a.Close()
	if log := a.logged(); strings.Contains(log, "NATS has ended") {
		t.Errorf("logged\n%s", log)
	}
}

func TestALowerMaxPayloadIsLearnt(t *testing.T) {
	s := natstest.Start(t, nil)
	a, b := connect(t, s.URL(), 1, nil), connect(t, s.URL(), 2, nil)
	a.expect(bus.Up)
	b.expect(bus.Up)
	s.Change(func(o *server.Options) { o.MaxPayload = 64 << 10 })
	a.send(b.self, strings.Repeat("x", 100_000)) // nobody has told it
	a.expect(bus.Down)
	a.expect(bus.Up)
	if n := a.MaxPacket(); n != 64<<10 {
		t.Errorf("a packet may have %d bytes", n)
	}
	a.send(b.self, "fresh")
	b.expectPacket("fresh")
}

func TestAServerThatTakesTooLittleIsNotUsedUntilItTakesMore(t *testing.T) {
	for what, c := range map[string]struct {
		limit func(*server.Options)
		told  string
	}{
		"max_payload":       {func(o *server.Options) { o.MaxPayload = 1000 }, "its max_payload is 1000 bytes"},
		"max_subscriptions": {func(o *server.Options) { o.MaxSubs = 1 }, "until it may have 2 subscriptions"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var before server.Options
			s := natstest.Start(t, func(o *server.Options) {
				before = *o
				c.limit(o)
			})
			var cfg Config
			a := connect(t, s.URL(), 1, func(c *Config) { cfg = *c })
			for !strings.Contains(a.logged(), c.told) {
				<-a.more
			}
			if a.Stats().Up {
				t.Error("the link is up")
			}
			if at, err := cfg.Reach(); err == nil {
				t.Errorf("%s is reached", at)
			}
			s.Stop()
			s.Change(func(o *server.Options) {
				o.MaxPayload, o.MaxSubs = before.MaxPayload, before.MaxSubs
			})
			s.Restart()
			a.expect(bus.Up) // and it was not before, nor down
			if log := a.logged(); strings.Count(log, c.told) != 1 || strings.Count(log, "connected to NATS") != 1 {
				t.Errorf("logged\n%s", log)
			}
		})
	}
}

func TestAConnectionForSomethingElseThatIsEndedForGoodSaysSo(t *testing.T) {
	s := startScripted(t)
	e := &end{t: t, more: make(chan struct{}, 1)}
	cfg := Config{Servers: []string{"nats://" + s.Addr().String()}, App: "chat", Instance: [8]byte{1}, Log: zerolog.New(e)}
	conn, err := cfg.Dial("the other thing", "do it")
	if err != nil {
		t.Fatal(err)
	}
	s.say("-ERR 'maximum control line exceeded'\r\n")
	for !strings.Contains(e.logged(), "NATS has ended the connection of the other thing") {
		<-e.more
	}
	if !conn.IsClosed() {
		t.Error("it is not closed")
	}
	before := e.logged()
	if conn, err = cfg.Dial("the other thing", "do it"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if log := e.logged(); log != before {
		t.Errorf("logged\n%s", log)
	}
}
