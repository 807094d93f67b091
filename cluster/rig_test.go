package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

const patience = 2 * time.Minute // for what must happen, however busy the machine

// instance is a gateway in a test: a hub with clients, and its cluster.
type instance struct {
	*Cluster
	t    *testing.T
	hub  *hub.Hub
	bus  *localbus.Bus
	addr string
	end  sync.Once

	mu  sync.Mutex
	log bytes.Buffer
}

func (i *instance) Write(line []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.log.Write(line)
}

// Stop may be called before the end of the test.
func (i *instance) Stop() { i.end.Do(i.Cluster.Stop) }

// begin starts an instance that has the name.
func begin(t *testing.T, x *localbus.Exchange, name string, change ...func(*Config)) *instance {
	t.Helper()
	return beginFrom(t, x, name, nil, change...)
}

// beginFrom is begin for an instance whose hub goes on with the ids of another.
func beginFrom(t *testing.T, x *localbus.Exchange, name string, origin *hub.Origin, change ...func(*Config)) *instance {
	t.Helper()
	i := &instance{t: t}
	var err error
	names := NewNames("chat", 1)
	if i.hub, err = hub.New(hub.Config{Names: names, Origin: origin, Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	sockets, err := netpoll.New(netpoll.Config{Handler: i.hub, Loops: 2, CloseTimeout: time.Second, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	i.hub.Attach(sockets)
	addr, err := sockets.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.addr = addr.String()
	if err := sockets.Start(); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Hub: i.hub, Instance: i.hub.Instance(), Names: names, App: "chat", Name: name, Version: "test",
		Timeout: patience, Hold: patience / 2, DeadAfter: patience, Log: zerolog.New(i),
		listenFor: -1, // tests that are about it have more
	}
	for _, f := range change {
		f(&cfg)
	}
	i.bus = x.Join(cfg.Instance)
	cfg.Bus = i.bus
	if i.Cluster, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	i.Start()
	t.Cleanup(func() {
		i.Stop()
		if t.Failed() {
			t.Logf("%s has logged\n%s", name, &i.log)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := sockets.Stop(ctx); err != nil {
			t.Errorf("stopping the sockets: %v", err)
		}
	})
	return i
}

// together starts instances a, b and so on, and waits until each knows all others.
func together(t *testing.T, n int, change ...func(*Config)) (*localbus.Exchange, []*instance) {
	t.Helper()
	x := localbus.NewExchange()
	var all []*instance
	for i := range n {
		all = append(all, begin(t, x, string(rune('a'+i)), change...))
	}
	for _, i := range all {
		i.await("the others", func() bool { return len(i.view.Load().live) == n-1 && i.Whole() })
	}
	return x, all
}

// await waits for what happens without anybody being told.
func (i *instance) await(what string, happened func() bool) {
	i.t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			i.t.Fatalf("%s: waited for in vain", what)
		}
	}
}

// client is a connection to an instance.
type client struct {
	*websocket.Conn
	t  *testing.T
	id string
}

func (i *instance) dial(user string) *client {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	before := i.ids(user)
	c, _, err := websocket.Dial(ctx, "ws://"+i.addr+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Bfl-User": {user}, "User-Agent": {"agent"}}})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { c.CloseNow() })
	after := slices.DeleteFunc(i.ids(user), func(id string) bool { return slices.Contains(before, id) })
	if len(after) != 1 {
		i.t.Fatalf("%d connections are new", len(after))
	}
	return &client{c, i.t, after[0]}
}

func (i *instance) ids(user string) (ids []string) {
	i.hub.List(hub.Query{Users: []string{user}}, func(_ string, conns []hub.Info) error {
		for _, c := range conns {
			ids = append(ids, c.ID)
		}
		return nil
	})
	return ids
}

// expect reads messages, and fails unless they are these, in this order.
func (c *client) expect(want ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, w := range want {
		_, got, err := c.Read(ctx)
		if err != nil || string(got) != w {
			c.t.Fatalf("got %.100q %v, want %.100q", got, err, w)
		}
	}
}

// send sends a text through the instance.
func (i *instance) send(to hub.Targets, text string) error {
	_, err := i.SendThen(i.t.Context(), to, netpoll.NewFrame(ws.OpText, []byte(text)), false, nil)
	return err
}

func (i *instance) mustSend(to hub.Targets, text string) {
	i.t.Helper()
	if err := i.send(to, text); err != nil {
		i.t.Fatal(err)
	}
}

// listed is a list in short: users with the names of the instances of their connections.
func (i *instance) listed(all []*instance, groups []string, q hub.Query) (pages []string, err error) {
	names := map[[8]byte]string{}
	for _, o := range all {
		names[o.hub.Instance()] = o.cfg.Name
	}
	for {
		var words []string
		next, err := i.ListMembers(i.t.Context(), groups, q, func(user string, conns []hub.Info) error {
			for _, c := range conns {
				owner, _ := hub.InstanceOf(c.ID)
				if c.User != user || c.UserAgent != "agent" || c.RemoteAddr == "" || c.ConnectedAt.IsZero() {
					i.t.Errorf("%+v", c)
				}
				words = append(words, fmt.Sprint(user, "@", names[owner]))
			}
			return nil
		})
		slices.Sort(words)
		pages = append(pages, strings.Join(words, " "))
		if q.Cursor = next; err != nil || next == "" {
			return pages, err
		}
	}
}
