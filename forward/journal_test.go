package forward

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/deadletter"
	"ws-gateway/forward/headers"
	"ws-gateway/forward/journal"
)

// memoryJournal is a Journal without a disk. While slow is not nil, recording
// waits for it to be closed.
type memoryJournal struct {
	mu     sync.Mutex
	states map[string][]byte
	metas  map[string][]byte
	closed []string
	slow   chan struct{}
}

func (j *memoryJournal) Opened(id, state []byte, recorded func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.states == nil {
		j.states = make(map[string][]byte)
	}
	j.states[string(id)] = slices.Clone(state)
	if slow := j.slow; slow != nil {
		go func() {
			<-slow
			recorded()
		}()
		return
	}
	recorded()
}

func (j *memoryJournal) Renamed(id, state []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.states[string(id)] = slices.Clone(state)
}

func (j *memoryJournal) Meta(id []byte, _ uint64, value []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.metas == nil {
		j.metas = make(map[string][]byte)
	}
	j.metas[string(id)] = slices.Clone(value)
}

func (j *memoryJournal) Closed(id []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.states, string(id))
	j.closed = append(j.closed, string(id))
}

func (j *memoryJournal) open() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.states))
}

// lost yields the connections that are open.
func (j *memoryJournal) lost() iter.Seq[Lost] {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lost []Lost
	for id, state := range j.states {
		lost = append(lost, Lost{ID: id, State: state, Meta: j.metas[id]})
	}
	return slices.Values(lost)
}

func TestNothingIsToldOfAConnectionBeforeTheJournalHasIt(t *testing.T) {
	j := &memoryJournal{}
	bubble(t, Config{Journal: j}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		j.slow = make(chan struct{})
		f.Open(source(1, 1), Request{})
		f.Message(source(1, 2), []byte("1"), false)
		synctest.Wait()
		equal(t, "posts before", len(a.received()), 0)
		close(j.slow)
		synctest.Wait()
		if got := a.ids(); !slices.Equal(got, []string{"c1-1", "c1-2"}) {
			t.Errorf("%q", got)
		}
		if got := j.open(); !slices.Equal(got, []string{"c1"}) {
			t.Errorf("open: %q", got)
		}
	})
}

func TestTheJournalHasAConnectionUntilItsCloseIsDealtWith(t *testing.T) {
	for _, test := range []struct {
		name       string
		status     int
		deadLetter bool
		drain      bool // while the close event is tried
		want       int
	}{
		{"delivered", 200, false, false, 0},
		{"failed for good", 404, false, false, 0},
		{"still tried", 503, false, false, 1},
		{"given up at the end", 503, false, true, 1},
		{"given up at the end, and kept", 503, true, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := &memoryJournal{}
			cfg := Config{Journal: j}
			if test.deadLetter {
				cfg.DeadLetter = t.TempDir() + "/dead.jsonl"
			}
			bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
				a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
					if p.id == "c1-2" {
						w.WriteHeader(test.status)
					}
				}
				f.Open(source(1, 1), Request{})
				f.Close(source(1, 2), End{Code: 1000})
				synctest.Wait()
				if test.drain {
					f.Drain(ended())
				}
				equal(t, "connections in the journal", len(j.open()), test.want)
			})
		})
	}
}

func TestLostConnectionsAreClosedAsTheyWere(t *testing.T) {
	before := &memoryJournal{}
	const n = 3 * lostWindow
	bubble(t, Config{Journal: before}, func(t *testing.T, f *Forwarder, _ *fakeApp, _ *logBuffer) {
		for key := 1; key <= n; key++ {
			src := source(key, 1)
			src.User = `al"ice`
			src.Headers = headers.Pack("a=\xff", []headers.Field{{Name: "X-Tenant", Value: "7"}})
			f.Open(src, Request{})
		}
		synctest.Wait()
	})
	equal(t, "open at the end of the first run", len(before.open()), n)

	after := &memoryJournal{states: maps.Clone(before.states)}
	bubble(t, Config{Journal: after}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		tenants := make(chan string, n)
		a.serve = func(_ post, w http.ResponseWriter, r *http.Request) {
			tenants <- r.Header.Get("X-Tenant")
			time.Sleep(time.Millisecond)
		}
		if err := f.CloseLost(t.Context(), Restarted, before.lost()); err != nil {
			t.Fatal(err)
		}
		posts := a.received()
		equal(t, "posts", len(posts), n)
		for _, p := range posts {
			id := strings.TrimSuffix(p.id, "-4294967295")
			equal(t, "request id", p.id, id+"-4294967295")
			equal(t, "body", p.body, `{"data":{},"action":"close","user_name":"al\"ice","conn_id":"`+id+`","code":1006,"reason":"gateway restarted","initiator":"gateway"}`)
			equal(t, "cookie", p.cookie, "a=\xff")
			equal(t, "header", <-tenants, "7")
		}
		equal(t, "still open", len(after.open()), 0)
	})
}

func TestClosingLostConnectionsEndsWithItsContextAndLosesNone(t *testing.T) {
	j := &memoryJournal{states: map[string][]byte{"a": {0}, "b": {0}, "broken": {9}}}
	bubble(t, Config{Journal: j}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := f.CloseLost(ctx, Restarted, j.lost()); err != context.DeadlineExceeded {
			t.Error(err)
		}
		f.Drain(ended())
		if got := j.open(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("open: %q", got)
		}
	})
}

func TestARefusedAuthorizationLeavesNothingInTheJournal(t *testing.T) {
	j := &memoryJournal{}
	bubble(t, Config{Journal: j}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c1-1" {
				w.WriteHeader(http.StatusForbidden)
			}
		}
		for key := 1; key <= 2; key++ {
			f.Authorize(source(key, 1), Request{}, func(Answer) {})
		}
		synctest.Wait()
		if got := j.open(); !slices.Equal(got, []string{"c2"}) {
			t.Errorf("open: %q", got)
		}
	})
}

func TestTheEpochIsSentWithEachPost(t *testing.T) {
	bubble(t, Config{Epoch: "e1"}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		epochs := make(chan string, 2)
		a.serve = func(_ post, _ http.ResponseWriter, r *http.Request) { epochs <- r.Header.Get("X-Ws-Epoch") }
		f.Open(source(1, 1), Request{})
		f.Close(source(1, 2), End{})
		synctest.Wait()
		equal(t, "epoch", take(t, epochs), "e1")
		equal(t, "epoch", take(t, epochs), "e1")
	})
}

func TestTheInstanceIsSentWithEachPost(t *testing.T) {
	for name, want := range map[string]string{"": "", "shop-1": "shop-1", "Zürich 100%\n": "Z%C3%BCrich%20100%25%0A"} {
		bubble(t, Config{Instance: name}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			instances := make(chan string, 2)
			a.serve = func(_ post, _ http.ResponseWriter, r *http.Request) { instances <- r.Header.Get("X-Ws-Instance") }
			f.Open(source(1, 1), Request{})
			f.Close(source(1, 2), End{})
			synctest.Wait()
			equal(t, "instance", take(t, instances), want)
			equal(t, "instance", take(t, instances), want)
		})
	}
}

func TestALetterIsRedeliveredAsItWasSent(t *testing.T) {
	type done struct {
		key    uint64
		o      Outcome
		status int
		kept   bool
	}
	all := make(chan done, 2)
	cfg := Config{
		DeadLetter: t.TempDir() + "/dead.jsonl",
		Done: func(key uint64, o Outcome, status int, kept bool) {
			all <- done{key, o, status, kept}
		},
	}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c-8" {
				w.WriteHeader(http.StatusGone)
			}
		}
		for _, seq := range []string{"7", "8"} {
			line := `{"request_id":"c-` + seq + `","action":"message","attempts":4,"cookie":"a=b","event":{"data": 1,"action":"message","user_name":"u","conn_id":"c"}}`
			l, err := deadletter.Parse([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			f.Redeliver(1, l)
		}
		synctest.Wait()
		p := a.received()[0]
		equal(t, "id", p.id, "c-7")
		equal(t, "attempt", p.attempt, 5)
		equal(t, "cookie", p.cookie, "a=b")
		equal(t, "body", p.body, `{"data": 1,"action":"message","user_name":"u","conn_id":"c"}`)
		equal(t, "first", take(t, all), done{1, Delivered, 200, false})
		equal(t, "second", take(t, all), done{1, Rejected, 410, true})
	})
}

// BenchmarkOpens is what an open event costs with and without a journal on a disk,
// delivery included: of a whole handshake it is the smaller part.
func BenchmarkOpens(b *testing.B) {
	for _, journaled := range []bool{false, true} {
		b.Run(map[bool]string{false: "without", true: "with"}[journaled], func(b *testing.B) {
			const inFlight = 64
			slots := make(chan struct{}, inFlight)
			cfg := Config{
				URL:  startSink(b),
				Done: func(uint64, Outcome, int, bool) { <-slots },
			}
			if journaled {
				j, err := journal.Open(b.TempDir(), zerolog.Nop())
				if err != nil {
					b.Fatal(err)
				}
				defer j.Close()
				cfg.Journal = j
			}
			f, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			f.Start()
			defer f.Drain(context.Background())
			measure(b, func() {
				for i := range b.N {
					slots <- struct{}{}
					id := fmt.Appendf(nil, "%024d", i)
					f.Open(Source{Key: uint64(i + 1), Seq: 1, ConnID: id, User: "alice", Headers: "session=abcdef"}, Request{URI: "/ws"})
				}
				for range inFlight {
					slots <- struct{}{}
				}
			})
		})
	}
}
