package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/call"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// spy is a hub that notes the targets of messages of others.
type spy struct {
	Local
	mu   sync.Mutex
	seen []hub.Targets
}

func (s *spy) SendThen(ctx context.Context, t hub.Targets, frame *netpoll.Frame, wait bool, done hub.Releaser) (hub.Report, error) {
	if slices.Equal(t.Users, []string{"nobody"}) { // see informed
		return s.Local.SendThen(ctx, t, frame, wait, done)
	}
	s.mu.Lock()
	s.seen = append(s.seen, hub.Targets{Users: slices.Clone(t.Users), Conns: slices.Clone(t.Conns), Groups: slices.Clone(t.Groups), Exclude: t.Exclude, OpenFor: t.OpenFor})
	s.mu.Unlock()
	return s.Local.SendThen(ctx, t, frame, wait, done)
}

// last is what has come since the last time, and ends with the message to the user end.
func (s *spy) last(i *instance, end string) (all []hub.Targets) {
	i.t.Helper()
	i.await("the message to "+end, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := len(s.seen)
		return n > 0 && slices.Equal(s.seen[n-1].Users, []string{end})
	})
	all, s.seen = s.seen[:len(s.seen)-1], nil
	return all
}

// spied are three instances, each with a user of its own that ends what a test is about.
func spied(t *testing.T) (all []*instance, spies []*spy) {
	_, all = together(t, 3, func(cfg *Config) {
		s := &spy{Local: cfg.Hub}
		spies = append(spies, s)
		cfg.Hub = s
	})
	for _, i := range all {
		i.dial("end-" + i.cfg.Name)
	}
	informed(t, all)
	return all, spies
}

func crowd(who string, n int) (users []string) {
	for i := range n {
		users = append(users, fmt.Sprint(who, "-", i))
	}
	return users
}

func TestEachInstanceIsSentItsOwnNamesOfACallToMany(t *testing.T) {
	all, spies := spied(t)
	a, b, c := all[0], all[1], all[2]
	bs, cs := b.dial("b-7"), c.dial("c-3")
	both := []*client{b.dial("both"), c.dial("both")}
	informed(t, all)
	users := slices.Concat(crowd("a", 100), crowd("b", 100), []string{"both"}, crowd("c", 100))
	a.mustSend(hub.Targets{Users: users, Exclude: []string{both[0].id}}, "x")
	for _, i := range all[1:] {
		a.mustSend(hub.Targets{Users: []string{"end-" + i.cfg.Name}}, "end")
	}
	bs.expect("x")
	cs.expect("x")
	both[1].expect("x")
	for n, want := range [][]string{{"b-7", "both"}, {"both", "c-3"}} {
		got := spies[n+1].last(all[n+1], "end-"+all[n+1].cfg.Name)
		if len(got) != 1 || !slices.Equal(got[0].Users, want) || !slices.Equal(got[0].Exclude, []string{both[0].id}) {
			t.Errorf("instance %s was sent %v, want one message to %v", all[n+1].cfg.Name, got, want)
		}
	}
	// A connection of a user to whom the call was then opens: it is too young for it.
	young := c.dial("c-50")
	a.mustSend(hub.Targets{Users: []string{"c-50"}}, "y")
	young.expect("y")
	a.mustSend(hub.Targets{Users: []string{"end-c"}}, "end")
	for _, got := range spies[2].last(c, "end-c") {
		if len(got.Users) != 1 || got.Users[0] != "c-50" {
			t.Errorf("c was sent a message to %v, want only to c-50, whom it has told", got.Users)
		}
	}
	// What is long goes to both as it is, so that it is held once.
	a.mustSend(hub.Targets{Users: users}, strings.Repeat("z", 1<<20))
	a.mustSend(hub.Targets{Users: []string{"end-b"}}, "end")
	if got := spies[1].last(b, "end-b"); len(got) == 0 || len(got[len(got)-1].Users) != len(users) {
		t.Errorf("b was sent %d messages, the last not with all users", len(got))
	}
	// And what is exact.
	if r, err := a.SendThen(t.Context(), hub.Targets{Users: users}, netpoll.NewFrame(1, []byte("x")), true, nil); err != nil || r.Matched != 5 {
		t.Errorf("%+v, %v: want 5 connections", r, err)
	}
}

func TestEachInstanceIsSentItsOwnConnectionsOfACallToMany(t *testing.T) {
	all, spies := spied(t)
	a, b, c := all[0], all[1], all[2]
	here, bs, cs := a.dial("amy"), []*client{b.dial("bob"), b.dial("ben")}, c.dial("cat")
	ids := []string{"nonsense", bs[1].id, here.id, cs.id, bs[0].id, strings.Repeat("A", 24)}
	a.mustSend(hub.Targets{Conns: ids}, "x")
	a.mustSend(hub.Targets{Conns: ids[:4], Users: []string{"bob", "ben"}, Owned: true}, "y")
	a.mustSend(hub.Targets{Conns: ids[:4], Users: []string{"bob", "cat"}}, "z") // also users: everything to all
	for _, i := range all[1:] {
		a.mustSend(hub.Targets{Users: []string{"end-" + i.cfg.Name}}, "end")
	}
	here.expect("x", "z")
	bs[0].expect("x", "z")
	bs[1].expect("x", "y", "z")
	cs.expect("x", "z")
	for n, want := range [][]string{{bs[1].id, bs[0].id}, {cs.id}} {
		got := spies[n+1].last(all[n+1], "end-"+all[n+1].cfg.Name)
		if len(got) != 3 || !slices.Equal(got[0].Conns, want) || len(got[1].Conns) != 1 || len(got[2].Conns) != 4 {
			t.Errorf("instance %s was sent %v, want messages to %v, one and four", all[n+1].cfg.Name, got, want)
		}
	}
	if matched, err := a.Join(t.Context(), hub.Targets{Conns: ids}, []string{"red"}); err != nil || matched != 4 {
		t.Errorf("%d joined, %v: want 4", matched, err)
	}
	if r, err := a.SendThen(t.Context(), hub.Targets{Conns: ids}, netpoll.NewFrame(1, []byte("long"+strings.Repeat("g", 4096))), true, nil); err != nil || r.Queued != 4 {
		t.Errorf("%+v, %v: want 4 connections", r, err)
	}
}

// A call is made while the router is busy: when it is sent, that is not before.
func TestNoCallIsSentBeforeItWasMade(t *testing.T) {
	i := &instance{t: t}
	ticks := time.Duration(0)
	x := localbus.NewExchange()
	h, err := hub.New(hub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if i.Cluster, err = New(Config{Hub: h, Bus: x.Join(h.Instance()), Instance: h.Instance(), App: "chat", Name: "a", clock: func() time.Duration {
		ticks++
		return ticks
	}}); err != nil {
		t.Fatal(err)
	}
	i.takeEvents()
	p, err := i.post(t.Context(), &route{others: true}, call.Send, &call.Call{Targets: hub.Targets{Users: []string{"u"}}}, nil, false)
	if made := i.mailbox.letters[0].at; err != nil || p != nil || made == 0 || i.takeLetters() < made {
		t.Errorf("a call that was made at %d was sent before that; %v", made, err)
	}
	i.Stop()
}

// Users come and go at two instances while a third sends to many of them at a time, so
// that some names of a message are known and others not yet. Each connection gets every
// message that was called after it had opened and is for its user, once and in order.
func TestOfCallsToManyEachConnectionGetsAllThatAreForItInOrder(t *testing.T) {
	const users, each = 100, 40
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	_, all := together(t, 3)
	informed(t, all)
	a := all[0]
	calls := &callLog{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sender, clients sync.WaitGroup
	sender.Go(func() {
		random := rand.New(rand.NewPCG(1, 6))
		for n := 0; ctx.Err() == nil; n++ {
			if n%10 == 0 { // or messages are called sooner than they can be sent, until they are too old
				if _, _, err := a.CountMembers(t.Context(), nil, hub.Query{}); err != nil {
					t.Error(err)
					return
				}
			}
			var to []string
			for range each {
				to = append(to, fmt.Sprint("user-", random.IntN(users)))
			}
			if err := a.send(hub.Targets{Users: slices.Clone(to)}, fmt.Sprint(calls.next(to))); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	before := a.Stats()
	for w := range 8 {
		clients.Go(func() {
			for n := 0; n < rounds && !t.Failed(); n++ {
				user := fmt.Sprint("user-", (w*rounds+n*13)%users)
				if err := listenToSome(t, all[1+(w+n)%2], user, calls); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	cancel()
	sender.Wait()
	if after := a.Stats(); after.GivenUp != before.GivenUp {
		t.Errorf("%v messages were given up", after.GivenUp)
	} else if after.Repaired == before.Repaired {
		t.Error("no message had to be repaired: the test has not tested that")
	} else {
		t.Logf("%d calls, %d repaired, %d crowded", calls.called(), after.Repaired-before.Repaired, after.Crowded-before.Crowded)
	}
}

// listenToSome connects, reads some messages and checks them.
func listenToSome(t *testing.T, at *instance, user string, calls *callLog) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+at.addr+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Bfl-User": {user}}})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	opened, last := calls.called(), -1
	for range 10 {
		_, text, err := c.Read(ctx)
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(text), &n); err != nil {
			return err
		}
		if n <= last {
			return fmt.Errorf("%s got message %d after %d", user, n, last)
		}
		if missed := calls.between(user, max(last+1, opened), n); missed >= 0 {
			return fmt.Errorf("%s, which has opened after message %d, got message %d after %d and has missed %d", user, opened, n, last, missed)
		}
		last = n
	}
	return nil
}

// callLog is to whom each message was.
type callLog struct {
	mu    sync.Mutex
	calls []map[string]bool
}

// next notes a call before it is made.
func (l *callLog) next(to []string) (number int) {
	users := map[string]bool{}
	for _, u := range to {
		users[u] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, users)
	return len(l.calls) - 1
}

func (l *callLog) called() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// between is the first call to a user from one to before another; -1: there is none.
func (l *callLog) between(user string, from, to int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := from; n < to; n++ {
		if l.calls[n][user] {
			return n
		}
	}
	return -1
}
