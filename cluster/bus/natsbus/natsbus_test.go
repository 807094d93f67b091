package natsbus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/natsbus/natstest"
)

var everybody [8]byte

// end is one instance's bus in a test, and what it has logged.
type end struct {
	*Bus
	t    *testing.T
	self [8]byte
	mu   sync.Mutex
	log  bytes.Buffer
	more chan struct{} // has a value after something was logged
	got  []bus.Event   // not yet asked for
}

func (e *end) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
	return e.log.Write(line)
}

func (e *end) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

// connect makes the bus of instance n.
func connect(t *testing.T, url string, n byte, change func(*Config)) *end {
	t.Helper()
	e := &end{t: t, self: [8]byte{0xa0, n}, more: make(chan struct{}, 1)}
	cfg := Config{Servers: []string{url}, App: "chat", Instance: e.self, Name: fmt.Sprint("gateway", n), Log: zerolog.New(e)}
	if change != nil {
		change(&cfg)
	}
	var err error
	if e.Bus, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// next waits for the next event.
func (e *end) next() (ev bus.Event) {
	e.t.Helper()
	for len(e.got) == 0 {
		select {
		case <-e.Wake():
		case <-e.t.Context().Done():
			e.t.Fatal("the test is over")
		}
		e.got = e.Take(nil)
	}
	ev, e.got = e.got[0], e.got[1:]
	return ev
}

// expect waits for an event of a kind, and fails if another one comes first.
func (e *end) expect(kind bus.Kind) bus.Event {
	e.t.Helper()
	ev := e.next()
	if ev.Kind != kind {
		e.t.Fatalf("event %d %q came, want kind %d", ev.Kind, ev.Data, kind)
	}
	return ev
}

func (e *end) expectPacket(want string) {
	e.t.Helper()
	if got := e.expect(bus.Packet); string(got.Data) != want {
		e.t.Fatalf("%q came, want %q", got.Data, want)
	}
}

func (e *end) send(to [8]byte, packet string) {
	e.t.Helper()
	if !e.Publish(to, []byte(packet)) {
		e.t.Fatal("a packet was refused")
	}
}

func TestWhatIsForOneAndWhatIsForAllArriveInOneOrder(t *testing.T) {
	s := natstest.Start(t, nil)
	a, b, c := connect(t, s.URL(), 1, nil), connect(t, s.URL(), 2, nil), connect(t, s.URL(), 3, nil)
	for _, e := range []*end{a, b, c} {
		e.expect(bus.Up)
	}
	const n = 2000
	for i := range n {
		a.send(everybody, fmt.Sprint("all ", i))
		a.send(b.self, fmt.Sprint("b ", i))
	}
	for i := range n {
		b.expectPacket(fmt.Sprint("all ", i))
		b.expectPacket(fmt.Sprint("b ", i))
		c.expectPacket(fmt.Sprint("all ", i))
	}
	c.send(a.self, "to a") // and nothing that a has sent itself is before it
	a.expectPacket("to a")
	if st := a.Stats(); st.Published != 2*n || st.Received != 1 || !st.Up || st.Waiting != 0 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
}

func TestAPacketToNobodySaysSo(t *testing.T) {
	s := natstest.Start(t, nil)
	a := connect(t, s.URL(), 1, nil)
	a.expect(bus.Up)
	nobody := [8]byte{7, 7}
	a.send(nobody, "x")
	if e := a.expect(bus.Absent); e.From != nobody {
		t.Errorf("absent: %x", e.From)
	}
	a.send(everybody, "x") // may well be heard by nobody
	a.send(nobody, "")
	if e := a.expect(bus.Absent); e.From != nobody {
		t.Errorf("absent: %x", e.From)
	}
}

func TestAServerIsReachedOrTheReasonIsTold(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.Authorization = "right" })
	cfg := Config{App: "app", Instance: [8]byte{1}}
	for url, want := range map[string]string{
		strings.Replace(s.URL(), "://", "://right@", 1): "",
		strings.Replace(s.URL(), "://", "://wrong@", 1): "Authorization",
	} {
		cfg.Servers = []string{url}
		at, err := cfg.Reach()
		if want == "" && (err != nil || strings.Contains(at, "right")) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q, %v", at, err)
		}
	}
	s.Stop()
	if _, err := cfg.Reach(); err == nil {
		t.Error("a server that is gone is reached")
	}
}

func TestOtherAppsOnTheSameServerHearNothing(t *testing.T) {
	s := natstest.Start(t, nil)
	a, b := connect(t, s.URL(), 1, nil), connect(t, s.URL(), 2, nil)
	other := connect(t, s.URL(), 2, func(cfg *Config) { cfg.App = "shop" })
	a.expect(bus.Up)
	b.expect(bus.Up)
	other.expect(bus.Up)
	a.send(everybody, "1")
	a.send(b.self, "2")
	b.expectPacket("1")
	b.expectPacket("2")
	b2 := connect(t, s.URL(), 3, func(cfg *Config) { cfg.App = "shop" })
	b2.expect(bus.Up)
	b2.send(other.self, "3")
	other.expectPacket("3")
}

func TestNothingOfBeforeIsSentAfterTheServerIsBack(t *testing.T) {
	s := natstest.Start(t, nil)
	url := s.URL()
	a, b := connect(t, url, 1, nil), connect(t, url, 2, nil)
	a.expect(bus.Up)
	b.expect(bus.Up)
	s.Stop()
	a.expect(bus.Down)
	b.expect(bus.Down)
	if a.Publish(b.self, []byte("late")) {
		t.Error("a packet was taken while the link was down")
	}
	s.Restart()
	a.expect(bus.Up)
	b.expect(bus.Up)
	a.send(b.self, "fresh")
	b.expectPacket("fresh")
	if st := a.Stats(); st.Links != 2 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	if log := a.logged(); strings.Count(log, "NATS is not reached") != 1 || strings.Count(log, "connected to NATS") != 2 {
		t.Errorf("logged\n%s", log)
	}
}

func TestAServerMayComeLaterThanTheGateway(t *testing.T) {
	s := natstest.Start(t, nil)
	url := s.URL()
	s.Stop()
	a := connect(t, strings.Replace(url, "nats://", "nats://user:secret@", 1), 1, nil)
	b := connect(t, strings.Replace(url, "nats://", "nats://secret@", 1), 2, nil) // a token
	s.Restart()
	for _, e := range []*end{a, b} {
		if first := e.next(); first.Kind == bus.Down { // it has tried before
			e.expect(bus.Up)
		} else if first.Kind != bus.Up {
			t.Fatalf("event %d came", first.Kind)
		}
		if log := e.logged(); strings.Contains(log, "secret") || !strings.Contains(log, "connected to NATS") {
			t.Errorf("a password or token is in the log, or nothing is:\n%s", log)
		}
	}
}

// allow lets a server's only user publish and subscribe to what is of the app, but for this.
func allow(publish, subscribe string) func(*server.Options) {
	permission := func(but string) *server.SubjectPermission {
		p := &server.SubjectPermission{Allow: []string{"wsg.chat.>"}}
		if but != "" {
			p.Deny = []string{but}
		}
		return p
	}
	return func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "secret", Permissions: &server.Permissions{Publish: permission(publish), Subscribe: permission(subscribe)}}}
	}
}

func TestTheLinkIsNotUpUntilAllSubjectsMayBeUsed(t *testing.T) {
	for _, c := range []struct{ publish, subscribe, named string }{
		{publish: "wsg.chat.hb", named: `Publish to "wsg.chat.hb"`},
		{publish: "wsg.chat.to.>", named: `Publish to "wsg.chat.to.a001000000000000.a001000000000000"`},
		{subscribe: "wsg.chat.hb", named: `Subscription to "wsg.chat.hb"`},
		{subscribe: "wsg.chat.to.>", named: `Subscription to "wsg.chat.to.a001000000000000.>"`},
		{">", ">", `Subscription to "wsg.chat.hb"`},
	} {
		t.Run(c.named, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, allow(c.publish, c.subscribe))
			url := strings.Replace(s.URL(), "nats://", "nats://user:secret@", 1)
			var cfg Config
			e := connect(t, url, 1, func(c *Config) { cfg = *c })
			logged := strings.ReplaceAll(c.named, `"`, `\"`)
			for !strings.Contains(e.logged(), logged) {
				<-e.more
			}
			if e.Publish(everybody, []byte("x")) || e.Stats().Up {
				t.Error("the link is up")
			}
			if _, err := cfg.Reach(); err == nil || c.publish != ">" && !strings.Contains(err.Error(), c.named) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the attempt to reach it: %v", err)
			}
			s.Stop()
			s.Change(allow("", ""))
			s.Restart()
			e.expect(bus.Up) // and it was not before, nor down
			if at, err := cfg.Reach(); err != nil || strings.Contains(at, "secret") {
				t.Errorf("%s, %v", at, err)
			}
			if log := e.logged(); strings.Count(log, "does not let this gateway use a subject") != 1 || !strings.Contains(log, "publish and subscribe to wsg.chat.>") || strings.Count(log, "connected to NATS") != 1 {
				t.Errorf("logged\n%s", log)
			}
		})
	}
}

func TestPermissionsMayChangeWhileTheLinkIsUp(t *testing.T) {
	s := natstest.Start(t, allow("", ""))
	url := strings.Replace(s.URL(), "nats://", "nats://user:secret@", 1)
	a, b := connect(t, url, 1, nil), connect(t, url, 2, nil)
	a.expect(bus.Up)
	b.expect(bus.Up)
	for round, mayNot := range [][2]string{{"", "wsg.chat.to.>"}, {"wsg.chat.hb", ""}} {
		s.Change(allow(mayNot[0], mayNot[1]))
		again := time.NewTicker(time.Millisecond)
		for ; a.Stats().Up || b.Stats().Up; <-again.C {
			a.Publish(everybody, []byte("x")) // or nobody would notice that it may not
			b.Publish(everybody, []byte("x"))
		}
		again.Stop()
		s.Change(allow("", ""))
		for _, e := range []*end{a, b} {
			for e.next().Kind != bus.Up { // it was down, and may have had packets before
			}
		}
		if st := a.Stats(); st.Links != uint64(round)+2 {
			t.Errorf("%+v", st)
		}
	}
	a.send(b.self, "last")
	for string(b.next().Data) != "last" {
	}
}

func TestAConnectionForSomethingElseLogsEachComplaintOnce(t *testing.T) {
	s := natstest.Start(t, allow("wsg.chat.a", ""))
	e := &end{t: t, more: make(chan struct{}, 1)}
	cfg := Config{Servers: []string{strings.Replace(s.URL(), "nats://", "nats://user:secret@", 1)}, App: "chat", Instance: [8]byte{1}, Log: zerolog.New(e)}
	conn, err := cfg.Dial("the other thing", "do it")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, subject := range []string{"wsg.chat.a", "wsg.chat.a", "wsg.other.b"} {
		if err := conn.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	for !strings.Contains(e.logged(), "wsg.other.b") {
		<-e.more
	}
	if log := e.logged(); strings.Count(log, "NATS does not let the other thing use a subject: allow its user to do it") != 2 || strings.Count(log, "wsg.chat.a") != 1 {
		t.Errorf("logged\n%s", log)
	}
}

func TestAPermissionForOnePeerThatIsMissingIsNamedAndTheLinkStays(t *testing.T) {
	s := natstest.Start(t, allow("wsg.chat.to.a002000000000000.>", ""))
	url := strings.Replace(s.URL(), "nats://", "nats://user:secret@", 1)
	a, b := connect(t, url, 1, nil), connect(t, url, 3, nil)
	a.expect(bus.Up)
	b.expect(bus.Up)
	a.send([8]byte{0xa0, 2}, "x")
	for !strings.Contains(a.logged(), "wsg.chat.to.a002000000000000.a001000000000000") {
		<-a.more
	}
	a.send(b.self, "y")
	b.expectPacket("y")
}

func TestAKeyAndATokenAreTakenFromFiles(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	keyFile := filepath.Join(t.TempDir(), "key")
	tokenFile := filepath.Join(t.TempDir(), "token")
	os.WriteFile(keyFile, append(seed, '\n'), 0o600)
	os.WriteFile(tokenFile, []byte("a-token\n"), 0o600)
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
	connect(t, s.URL(), 1, func(cfg *Config) { cfg.NKey = keyFile }).expect(bus.Up)
	s = natstest.Start(t, func(o *server.Options) { o.Authorization = "a-token" })
	connect(t, s.URL(), 1, func(cfg *Config) { cfg.TokenFile = tokenFile }).expect(bus.Up)
}

func TestMistakesAreNamedAndSecretsAreNot(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	os.WriteFile(empty, nil, 0o600)
	for want, change := range map[string]func(*Config){
		"Servers is required":                      func(c *Config) { c.Servers = nil },
		"Instance is required":                     func(c *Config) { c.Instance = everybody },
		`"a b" must have 1 to 32`:                  func(c *Config) { c.App = "a b" },
		`"" must have 1 to 32`:                     func(c *Config) { c.App = "" },
		"server http://x: it does not begin":       func(c *Config) { c.Servers = []string{"http://x"} },
		"server nats://u:xxxxx@: it names no host": func(c *Config) { c.Servers = []string{"nats://u:secret@"} },
		"cannot be read as a URL":                  func(c *Config) { c.Servers = []string{"nats://u:secret@[::1"} },
		"no user's key: it should be":              func(c *Config) { c.Creds = empty },
		"no user's key: its line should begin":     func(c *Config) { c.NKey = empty },
		"it has no token in it":                    func(c *Config) { c.TokenFile = empty },
		"no such file":                             func(c *Config) { c.Creds = empty + "x" },
		"emptyx: no such file":                     func(c *Config) { c.CA = empty + "x" },
		"empty: it has no certificate (PEM)":       func(c *Config) { c.CA = empty },
		"empty: with its key ":                     func(c *Config) { c.Cert, c.Key = empty, empty },
	} {
		cfg := Config{Servers: []string{"nats://127.0.0.1:1"}, App: "chat", Instance: [8]byte{1}}
		change(&cfg)
		b, err := New(cfg)
		if err == nil {
			b.Close()
			t.Errorf("%s: was taken", want)
		} else if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q, want %q", err, want)
		}
	}
	for server, want := range map[string]string{
		"nats://user:secret@h:4222": "nats://user:xxxxx@h:4222", "nats://secret@h": "nats://xxxxx@h", "nats://h": "nats://h", "nats://[": "a URL that cannot be read",
		"nats:secret@h": "a URL with its @ in the wrong place", "secret@h": "a URL with its @ in the wrong place", "nats://user:1?secret@h": "a URL with its @ in the wrong place", "nats://user:1#secret@h": "a URL with its @ in the wrong place",
	} {
		if got := Redacted(server); got != want {
			t.Errorf("%s: %s", server, got)
		}
	}
}

func TestAServersURLIsOneThatNATSTakes(t *testing.T) {
	for server, want := range map[string]string{
		"nats://h": "", "tls://h:4222": "", "nats://user:pass@h:65535/": "", "nats://[::1]:4222": "", "nats://token@h": "",
		"":                    "it is empty",
		" nats://h":           "a blank",
		"nats://h ":           "a blank",
		"nats://a nats://b":   "a blank",
		"nats://a\n":          "a blank",
		"h:4222":              "does not begin with",
		"h":                   "does not begin with",
		"http://h":            "does not begin with",
		"ws://h":              "does not begin with",
		"wss://h/nats":        "does not begin with",
		"nats://":             "names no host",
		"nats://:4222":        "names no host",
		"nats:h":              "names no host",
		"tls://tls://h":       "two URLs in one",
		"nats://tls://h:4222": "two URLs in one",
		"nats://h:":           "no port behind it",
		"nats://h:0":          "its port, 0,",
		"nats://h:65536":      "its port, 65536,",
		"nats://h:port":       "cannot be read",
		"nats://a,b:4222":     "a comma",
		"nats://a,":           "a comma",
		"nats://h/path":       "has a path",
		"nats://h?tls=true":   "a query",
		"nats://h?":           "a query",
		"nats://h#x":          "a fragment",
		"nats://u:1#secret@h": "a fragment",
		"nats://u:1/secret@h": "has a path",
		"nats://u:secret/x@h": "cannot be read",
	} {
		err := CheckServer(server)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, want %q", server, err, want)
		}
	}
}
