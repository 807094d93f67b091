package natsbus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/natsbus/natstest"
)

// keyFile is a file with the key of a NATS user, which may be replaced.
type keyFile struct {
	t    *testing.T
	path string
}

// put makes a key, writes it and returns the user that it is of.
func (f keyFile) put() []*server.NkeyUser {
	f.t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		f.t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	if err := os.WriteFile(f.path+".new", seed, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
	return []*server.NkeyUser{{Nkey: public}}
}

func TestAUsersKeyThatIsReplacedIsTheOneThatIsUsed(t *testing.T) {
	file := keyFile{t, filepath.Join(t.TempDir(), "user.nk")}
	users := file.put()
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = users })
	a := connect(t, s.URL(), 1, func(c *Config) { c.NKey = file.path })
	a.expect(bus.Up)
	for range 2 {
		users = file.put()
		s.Change(func(o *server.Options) { o.Nkeys = users })
		a.expect(bus.Down)
		a.expect(bus.Up)
	}
	if log := a.logged(); strings.Count(log, "the user's key for NATS has been replaced") != 2 || strings.Contains(log, "NATS has ended") {
		t.Errorf("logged\n%s", log)
	}
}

// The server refuses the key from the start: no callback says so.
func TestAUsersKeyThatIsWrongAtFirstNeedsNoRestart(t *testing.T) {
	file := keyFile{t, filepath.Join(t.TempDir(), "user.nk")}
	file.put()
	other := file.put()
	file.put()
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = other })
	a := connect(t, s.URL(), 1, func(c *Config) { c.NKey = file.path })
	a.expect(bus.Down) // the first attempt has failed
	users := file.put()
	s.Change(func(o *server.Options) { o.Nkeys = users })
	a.expect(bus.Up)
}

func TestAConnectionForSomethingElseEndsWhenTheUsersKeyIsReplaced(t *testing.T) {
	file := keyFile{t, filepath.Join(t.TempDir(), "user.nk")}
	users := file.put()
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = users })
	cfg := Config{Servers: []string{s.URL()}, App: "chat", Instance: [8]byte{1}, NKey: file.path, Log: zerolog.Nop()}
	conn, err := cfg.Dial("the other thing", "do it")
	if err != nil {
		t.Fatal(err)
	}
	ended := conn.StatusChanged(nats.CLOSED)
	users = file.put()
	s.Change(func(o *server.Options) { o.Nkeys = users })
	<-ended
	if conn, err = cfg.Dial("the other thing", "do it"); err != nil || !conn.IsConnected() {
		t.Errorf("another one does not connect: %v", err)
	}
	conn.Close()
}

func TestThatNoServerIsThereAtTheFirstAttemptIsTold(t *testing.T) {
	s := natstest.Start(t, nil)
	url := s.URL()
	s.Stop()
	a := connect(t, url, 1, nil)
	a.expect(bus.Down)
	s.Restart()
	a.expect(bus.Up)
}
