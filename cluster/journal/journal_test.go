package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/cluster/packet"
)

const longest = 2 * time.Minute

func jetStream(t *testing.T, change ...func(*server.Options)) *natstest.Server {
	folder := t.TempDir()
	return natstest.Start(t, func(o *server.Options) {
		o.JetStream, o.StoreDir, o.JetStreamMaxStore = true, folder, 1<<30
		for _, f := range change {
			f(o)
		}
	})
}

// node is an instance's journal in a test. Instance n has the ids "n:…".
type node struct {
	*Journal
	t      *testing.T
	id     packet.Instance
	fences chan struct{}

	mu     sync.Mutex
	closed []string // whose close events it has sent for others
	refuse bool     // it waits for the end of its context instead
	log    bytes.Buffer
}

func (n *node) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(b)
}

func instance(n byte) packet.Instance { return packet.Instance{0xa0, n} }

func startNode(t *testing.T, url string, number byte, change ...func(*Config)) *node {
	return startRun(t, url, number, instance(number), nil, change...)
}

// startRun is startNode for a run of its own, which goes on where another has left.
func startRun(t *testing.T, url string, number byte, run packet.Instance, before *Place, change ...func(*Config)) *node {
	n := &node{t: t, id: instance(number), fences: make(chan struct{}, 1)}
	cfg := Config{
		Connect: func() (*nats.Conn, error) {
			return nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.ReconnectBufSize(-1))
		},
		App: "chat", DeadAfter: time.Second, Log: zerolog.New(n),
		Heard:  func() map[packet.Instance]bool { return nil },
		Lost:   n.lost,
		Again:  func(context.Context, func(context.Context) error) error { return nil },
		Fenced: func() { n.fences <- struct{}{} },
		Owner: func(id string) (packet.Instance, bool) {
			var number byte
			_, err := fmt.Sscanf(id, "%d:", &number)
			return instance(number), err == nil
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	n.Journal = New(cfg)
	if before != nil {
		n.GoOn(*before)
	}
	n.Start(n.id, run)
	t.Cleanup(func() {
		n.Stop(false)
		if t.Failed() {
			t.Logf("%d has logged\n%s", number, &n.log)
		}
	})
	return n
}

func (n *node) lost(ctx context.Context, all iter.Seq[Entry]) error {
	n.mu.Lock()
	refuse := n.refuse
	n.mu.Unlock()
	for e := range all {
		if string(e.State) != "state of "+e.ID {
			n.t.Errorf("%s has %q", e.ID, e.State)
		}
		if refuse {
			<-ctx.Done()
			return ctx.Err()
		}
		n.mu.Lock()
		n.closed = append(n.closed, e.ID+string(e.Meta))
		n.mu.Unlock()
		n.Closed([]byte(e.ID))
	}
	return nil
}

// sent returns whose close events it has sent for others, sorted.
func (n *node) sent() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.closed))
}

// opened records connections, and waits until that is done.
func (n *node) opened(ids ...string) {
	n.t.Helper()
	for _, id := range ids {
		done := make(chan struct{})
		n.Opened([]byte(id), []byte("state of "+id), func() { close(done) })
		select {
		case <-done:
		case <-time.After(longest):
			n.t.Fatalf("%s is not recorded", id)
		}
	}
	await(n.t, "the records to be written", func() bool { return n.Stats().Waiting == 0 })
}

func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(longest); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: waited for in vain", what)
		}
	}
}

// die ends a node as a kill does: nothing more is written.
func (n *node) die() {
	n.cancel()
	n.own.once.Do(func() { close(n.own.stop) })
	n.work.Wait()
}

func TestTheConnectionsOfADeadInstanceAreClosedOnceByASurvivor(t *testing.T) {
	s := jetStream(t)
	a, b, c := startNode(t, s.URL(), 1), startNode(t, s.URL(), 2), startNode(t, s.URL(), 3)
	a.opened("1:x", "1:y", "1:z", "1:w")
	a.Meta([]byte("1:z"), 1, []byte(`{"old":1}`))
	a.Meta([]byte("1:z"), 2, []byte(`{"n":2}`))
	a.Closed([]byte("1:y"))
	b.opened("2:x")
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	a.die()
	want := []string{"1:w", "1:x", `1:z{"n":2}`}
	await(t, "the close events", func() bool { return len(b.sent())+len(c.sent()) >= len(want) })
	await(t, "the subject to be empty", func() bool { return subjects(t, b) == 2 })
	if got := slices.Sorted(slices.Values(append(b.sent(), c.sent()...))); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := b.Stats().Takeovers + c.Stats().Takeovers; n != 1 {
		t.Errorf("%d have taken over", n)
	}
	if n := b.Stats().Closed + c.Stats().Closed; n != 3 {
		t.Errorf("%d closes", n)
	}
}

// subjects is how many instances have something in the stream.
func subjects(t *testing.T, n *node) int {
	t.Helper()
	s := &streams{js: n.own.ledger.streams.js, app: "chat"}
	if err := s.open(t.Context()); err != nil {
		return -1
	}
	info, err := s.stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		return -1
	}
	return len(info.State.Subjects)
}

func TestASurvivorThatDiesWhileItTakesOverIsFollowedByAnother(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1)
	b := startNode(t, s.URL(), 2)
	b.refuse = true
	a.opened("1:x", "1:y")
	a.die()
	await(t, "b to take over", func() bool { return b.Stats().Takeovers == 1 })
	c := startNode(t, s.URL(), 3)
	// It takes a while, in which b's fence must count.
	await(t, "c to know the stream", func() bool { return c.Stats().Records == 0 && subjects(t, b) >= 1 })
	b.die()
	want := []string{"1:x", "1:y"}
	await(t, "c's close events", func() bool { return len(c.sent()) >= len(want) })
	if got := c.sent(); !slices.Equal(got, want) || len(b.sent()) != 0 {
		t.Errorf("%q and %q, want %q", got, b.sent(), want)
	}
}

// To read what an instance has left can take longer than it takes to be dead.
func TestASurvivorThatReadsForLongIsNotFollowedByAnother(t *testing.T) {
	s := jetStream(t)
	reading := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	defer release()
	a := startNode(t, s.URL(), 1, patient)
	a.opened("1:x", "1:y")
	begun := sync.OnceFunc(func() { close(reading) })
	b := startNode(t, s.URL(), 2, patient, func(cfg *Config) {
		owner := cfg.Owner
		cfg.Owner = func(id string) (packet.Instance, bool) {
			begun()
			<-released.Done()
			return owner(id)
		}
	})
	a.die()
	select {
	case <-reading:
	case <-time.After(longest):
		t.Fatal("b does not take over")
	}
	c := startNode(t, s.URL(), 3, patient)
	last := func() uint64 {
		m, err := newStreams(t, stranger(t, s.URL())).stream.GetLastMsgForSubject(t.Context(), "wsg.chat.journal."+a.id.String())
		if err != nil {
			t.Fatal(err)
		}
		return m.Sequence
	}
	grown, before := 0, last()
	await(t, "b to show for twice as long that it goes on", func() bool {
		now := last()
		if now != before {
			grown, before = grown+1, now
		}
		return grown >= 10
	})
	release()
	await(t, "the close events", func() bool { return len(b.sent()) == 2 })
	await(t, "the subject to be empty", func() bool { return subjects(t, b) == 2 })
	if len(c.sent()) != 0 || c.Stats().Takeovers != 0 {
		t.Errorf("c has sent %q, too", c.sent())
	}
}

func TestAnInstanceThatWasTakenOverEndsWithoutEvents(t *testing.T) {
	s := jetStream(t)
	proxy := natstest.StartProxy(t, s)
	a, b := startNode(t, proxy.URL(), 1), startNode(t, s.URL(), 2)
	a.opened("1:x", "1:y")
	if !a.Sure() {
		t.Error("nobody can have taken over")
	}
	proxy.Cut(true)
	await(t, "b's close events", func() bool { return len(b.sent()) == 2 })
	sent := make(chan struct{}, 1)
	if a.Sure() || !a.HoldBack([]byte("1:x"), func() { sent <- struct{}{} }) {
		t.Error("a sends close events, too")
	}
	proxy.Cut(false)
	select {
	case <-a.fences:
	case <-time.After(longest):
		t.Fatal("a does not end")
	}
	if len(sent) != 0 || !a.HoldBack([]byte("1:x"), func() { sent <- struct{}{} }) {
		t.Error("a sends close events after that")
	}
}

func TestCloseEventsWaitWhileJetStreamIsAwayAndThenComeInOrder(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1)
	a.opened("1:x")
	s.Stop()
	await(t, "a to be unsure", func() bool { return !a.Sure() })
	var got []int
	for i := range 3 {
		if !a.HoldBack([]byte("1:x"), func() { got = append(got, i) }) {
			t.Errorf("close %d does not wait", i)
		}
	}
	recorded := make(chan struct{})
	a.Opened([]byte("1:y"), []byte("state of 1:y"), func() { close(recorded) }) // waits for a second
	select {
	case <-recorded:
	case <-time.After(longest):
		t.Fatal("an open event waits for JetStream without end")
	}
	if n := a.Stats().Held; n != 3 {
		t.Errorf("%d are held", n)
	}
	s.Restart()
	await(t, "the close events", func() bool { return a.Stats().Held == 0 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("%v", got)
	}
	if len(a.fences) != 0 {
		t.Error("it was fenced")
	}
}

func TestWhatIsClosedIsRemovedAndWhatIsOpenStays(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1)
	a.opened("1:stays")
	a.Meta([]byte("1:stays"), 7, []byte(`"m"`))
	for i := range 300 {
		id := fmt.Sprint("1:", i)
		a.opened(id)
		a.Closed([]byte(id))
	}
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	a.die()
	l := a.own.ledger
	before := l.last
	conn, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	again := New(a.cfg)
	again.self = a.id
	l = again.ledger(a.id, newStreams(t, conn))
	l.at(before)
	w := newWriter(again, l, true)
	w.batches, w.compactAt = 1, 1
	if err := l.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	w.compact()
	if again.Stats().Compactions != 1 || again.Stats().Failures != 0 {
		t.Errorf("%+v", again.Stats())
	}
	found := newSet()
	n, _, err := l.read(t.Context(), l.last, func(b []byte) error { return readBatch(b, found.add) })
	if err != nil || n != 1 {
		t.Errorf("%d batches, %v", n, err)
	}
	if got := found.entries(); len(got) != 1 || got[0].ID != "1:stays" || string(got[0].Meta) != `"m"` {
		t.Errorf("%+v", got)
	}
}

func newStreams(t *testing.T, conn *nats.Conn) *streams {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s := &streams{js: js, app: "chat"}
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnAppendWhoseAnswerWasLostCountsOnce(t *testing.T) {
	s := jetStream(t)
	conn, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	j := New(Config{App: "chat"})
	j.self = instance(1)
	l := j.ledger(instance(1), newStreams(t, conn))
	if err := l.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	before := *l
	if err := l.append(t.Context(), []byte{batchVersion, 'x'}); err != nil {
		t.Fatal(err)
	}
	again := before // as if it had not been told
	if err := again.append(t.Context(), []byte{batchVersion, 'x'}); err != nil || again.last != l.last || again.number != l.number {
		t.Errorf("%v: %+v, want %+v", err, again, l)
	}
	j.self = instance(2)
	other := j.ledger(instance(1), l.streams)
	other.at(l.last)
	if err := other.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	if err := l.append(t.Context(), []byte{batchVersion}); !errors.Is(err, ErrFenced) {
		t.Errorf("a zombie's append: %v", err)
	}
	if err := other.purge(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := l.append(t.Context(), []byte{batchVersion}); !errors.Is(err, ErrFenced) {
		t.Errorf("a zombie's append when the other is done: %v", err)
	}
}

func TestAnInstanceThatEndsWellLeavesNothing(t *testing.T) {
	s := jetStream(t)
	a, b := startNode(t, s.URL(), 1), startNode(t, s.URL(), 2)
	a.opened("1:x")
	b.opened("2:x")
	a.Closed([]byte("1:x"))
	a.Stop(true)
	a.started = false // and not once more
	if n := subjects(t, b); n != 1 {
		t.Errorf("%d subjects are left, want b's", n)
	}
}

func FuzzReadBatch(f *testing.F) {
	f.Add(appendRecord(appendRecord([]byte{batchVersion}, kindOpened, []byte("id"), []byte("state")), kindMeta, []byte("id"), []byte("12345678{}")))
	f.Add(appendRecord([]byte{batchVersion}, kindClosed, []byte("id"), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSet()
		if readBatch(b, s.add) == nil {
			again := []byte{batchVersion}
			for _, id := range s.order {
				for record := range s.recordsOf(id) {
					again = append(again, record...)
				}
			}
			other := newSet()
			if err := readBatch(again, other.add); err != nil || len(other.entries()) != len(s.entries()) {
				t.Fatalf("%v: %+v, want %+v", err, other.entries(), s.entries())
			}
		}
	})
}
