package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/natsbus/natstest"
)

// unhurried is for instances that nobody takes over in a test.
func unhurried(cfg *Config) { cfg.DeadAfter = 10 * time.Minute }

// list is what was sent.
type list struct {
	mu  sync.Mutex
	all []int
}

func (l *list) add(i int) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, i)
	}
}

func (l *list) is(want ...int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Equal(l.all, want)
}

func TestCloseEventsWaitAsSoonAsTheyCannotBeRecorded(t *testing.T) {
	for name, spoil := range map[string]func(*natstest.Server, natstest.Proxy, *node) (mend func()){
		"the link is cut, and nothing is to be written": func(_ *natstest.Server, p natstest.Proxy, _ *node) func() {
			p.Cut(true)
			return func() { p.Cut(false) }
		},
		"NATS restarts": func(s *natstest.Server, _ natstest.Proxy, _ *node) func() {
			s.Stop()
			return s.Restart
		},
		"nothing is acknowledged": func(_ *natstest.Server, p natstest.Proxy, a *node) func() {
			p.Stall(true)
			a.Closed([]byte("1:x"))
			return func() { p.Stall(false) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := jetStream(t)
			proxy := natstest.StartProxy(t, s)
			a := startNode(t, proxy.URL(), 1, unhurried)
			a.opened("1:x", "1:y", "1:z")
			if !a.Sure() {
				t.Error("it is not sure while all is well")
			}
			mend := spoil(s, proxy, a)
			await(t, "it to be unsure", func() bool { return !a.Sure() })
			if name == "nothing is acknowledged" && a.Stats().Failures > 0 {
				t.Errorf("it is unsure only after %v", callTimeout)
			}
			var sent list
			for i := range 3 {
				if !a.HoldBack([]byte("1:y"), sent.add(i)) {
					t.Errorf("close %d does not wait", i)
				}
			}
			mend()
			await(t, "the close events, in order", func() bool { return sent.is(0, 1, 2) })
			await(t, "it to be sure", a.Sure)
		})
	}
}

// What waits for an answer that cannot come is tried again at once when the link is back.
func TestAnAppendEndsWithTheLinkThatItWaitsFor(t *testing.T) {
	s := jetStream(t)
	proxy := natstest.StartProxy(t, s)
	j := New(Config{App: "chat"})
	j.self = instance(1)
	w := newWriter(j, j.ledger(instance(1), newStreams(t, stranger(t, proxy.URL()))), true)
	if err := w.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	proxy.Stall(true)
	ended := make(chan error, 1)
	go func() { ended <- w.append(t.Context(), []byte{batchVersion}) }()
	await(t, "an append to be under way", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.interrupt != nil
	})
	w.cutShort()
	if err := <-ended; !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("it ends with %v", err)
	}
}

// Thousands that were held do not go out in one go, and who closes meanwhile comes behind them.
func TestWhatIsHeldGoesOutInStepsAndInOrder(t *testing.T) {
	n := &node{t: t}
	j := New(Config{App: "chat", DeadAfter: time.Minute, Log: zerolog.New(n)})
	j.own.ledger = j.ledger(instance(1), &streams{})
	j.lease = longOver
	var sent list
	const many = 3*releaseStep + 7
	var want []int
	for i := range many {
		want = append(want, i)
		if !j.HoldBack(fmt.Append(nil, i), func() {
			sent.add(i)()
			if i == releaseStep {
				if !j.HoldBack([]byte("late"), sent.add(many)) {
					t.Error("a later one overtakes those that are held")
				}
			}
		}) {
			t.Fatal("it does not wait")
		}
	}
	j.confirmed(time.Now())
	if !sent.is(append(want, many)...) || j.Held() > 0 || !j.Sure() {
		t.Errorf("%d were sent, and %d are held", len(sent.all), j.Held())
	}
}

// At the end what is held is left to others, and so is the subject; unless others cannot know of
// the connection.
func TestWhatIsHeldAtTheEndIsLeftToOthers(t *testing.T) {
	s := jetStream(t)
	proxy := natstest.StartProxy(t, s)
	a := startNode(t, proxy.URL(), 1)
	a.opened("1:x", "1:y", "1:z")
	a.Closed([]byte("1:z"))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	proxy.Cut(true)
	await(t, "it to be unsure", func() bool { return !a.Sure() })
	a.Opened([]byte("1:unknown"), []byte("state of 1:unknown"), func() {})
	var sent list
	for i, id := range []string{"1:x", "1:unknown", "1:y"} {
		if !a.HoldBack([]byte(id), sent.add(i)) {
			t.Errorf("%s does not wait", id)
		}
	}
	a.Leave(t.Context(), false)
	if !sent.is(1) || a.Held() != 2 {
		t.Errorf("%v was sent, %d are left", sent.all, a.Held())
	}
	if !a.HoldBack([]byte("1:x"), sent.add(3)) {
		t.Error("one that comes later does not wait")
	}
	a.Closed([]byte("1:unknown"))
	proxy.Cut(false)
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	a.Stop(true)
	a.started = false // and not once more
	if !sent.is(1) || a.count("close events are left to other gateways") != 1 {
		t.Errorf("%v was sent", sent.all)
	}
	b := startNode(t, s.URL(), 2)
	await(t, "the survivor's", func() bool { return slices.Equal(b.sent(), []string{"1:x", "1:y"}) })
}

func TestAtTheEndWhatIsHeldGoesOutIfTheJournalCanBeWrittenSoon(t *testing.T) {
	s := jetStream(t)
	proxy := natstest.StartProxy(t, s)
	a := startNode(t, proxy.URL(), 1, unhurried)
	a.opened("1:x")
	proxy.Cut(true)
	await(t, "it to be unsure", func() bool { return !a.Sure() })
	var sent list
	a.HoldBack([]byte("1:x"), sent.add(0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go proxy.Cut(false)
	a.leave(ctx, longest, false)
	if !sent.is(0) || a.Held() > 0 {
		t.Errorf("%v was sent, %d are left", sent.all, a.Held())
	}
	// With sessions that the next start goes on with, nobody else sends anything.
	proxy.Cut(true)
	await(t, "it to be unsure", func() bool { return !a.Sure() })
	a.HoldBack([]byte("1:x"), sent.add(1))
	a.Leave(ctx, true)
	if !sent.is(0, 1) || a.Held() > 0 {
		t.Errorf("%v was sent, %d are left", sent.all, a.Held())
	}
}
