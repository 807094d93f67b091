package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
	"ws-gateway/forward/headers"
	"ws-gateway/handover/record"
	"ws-gateway/hub/meta"
)

// keep has the events of these connections written down, and ends them in f.
func keep(t *testing.T, f *Forwarder, keys ...int) map[int]record.Fields {
	t.Helper()
	h, err := f.Hold(within(t, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	kept, events := map[int]record.Fields{}, 0
	for _, key := range keys {
		r, n := h.Append(nil, uint64(key))
		kept[key] = r
		events += n
	}
	equal(t, "kept", h.Release(true), events)
	return kept
}

// next makes a forwarder to the same app that has not been started.
func next(t *testing.T, a *fakeApp, cfg Config) *Forwarder {
	t.Helper()
	cfg.URL, cfg.Log = "http://app/hook", zerolog.Nop()
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.dialer = func(callback.Target) callback.DialFunc { return a.dial }
	f.terms.Load().dial = a.dial
	return f
}

// takeUp has f deliver what was kept of a connection whose last event has number last.
func takeUp(t *testing.T, f *Forwarder, kept record.Fields, key, last int) {
	t.Helper()
	u, err := ParseUndelivered(kept, source(key, last))
	if err != nil {
		t.Fatal(err)
	}
	f.TakeUp(u, time.Hour)()
}

// waits requires f to have so many events, and what it counts of them to agree.
func waits(t *testing.T, f *Forwarder, lanes, events int) {
	t.Helper()
	synctest.Wait()
	s := f.Stats()
	equal(t, "lanes, events", [2]int64{s.Lanes, s.Events}, [2]int64{int64(lanes), int64(events)})
	if (s.Bytes == 0) != (events == 0) || events == 0 && f.lanes.available.Load() != 0 {
		t.Errorf("%d bytes are held, %d are available", s.Bytes, f.lanes.available.Load())
	}
}

func refuse(_ post, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
func accept(post, http.ResponseWriter, *http.Request)       {}

func TestTheNextForwarderDeliversWhatTheAppHasNotTakenByteForByte(t *testing.T) {
	for _, cfg := range []Config{{}, {Batch: 10, Linger: time.Second}, {Pipeline: 4}} {
		cfg.Meta = meta.New(100)
		bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			a.serve = accept
			say := func(f *Forwarder) {
				src := source(1, 1)
				src.Headers = headers.Pack("sid=1", []headers.Field{{Name: "X-Tenant", Value: "blue"}})
				f.Open(src, Request{URI: "/ws?a=b"})
				src.Seq++
				f.Message(src, []byte(`{"a": 1}`), false)
				src.Seq, src.Headers, src.Fresh = 3, "sid=2", true
				f.Resumed(src, 4711*time.Millisecond)
				src.Seq, src.Fresh = 4, false
				f.Message(src, []byte("\xff\x00"), true)
				f.Message(source(2, 9), []byte("text"), false)
			}
			say(f)
			time.Sleep(time.Minute)
			want := a.received()
			a.begin(accept)

			a.setDown(true)
			say(f)
			time.Sleep(10 * time.Second) // the first ones are tried, and wait
			kept := keep(t, f, 1, 2, 3)
			waits(t, f, 0, 0)
			equal(t, "counted as kept", f.Stats().Kept, 5)
			equal(t, "left over", f.Drain(within(t, time.Second)), Leftover{})
			equal(t, "of a connection without events", len(kept[3]), 0)

			a.setDown(false)
			other := next(t, a, cfg)
			takeUp(t, other, kept[1], 1, 4)
			takeUp(t, other, kept[2], 2, 9)
			takeUp(t, other, kept[3], 3, 7)
			waits(t, other, 2, 5)
			other.Start()
			time.Sleep(time.Minute)
			waits(t, other, 0, 0)
			got := a.received()
			equal(t, "posts", len(got), len(want))
			for i := range min(len(got), len(want)) {
				if got[i].attempt == 1 && got[i].id == "c1-1" {
					t.Errorf("attempt %d is the first again", got[i].attempt)
				}
				got[i].at, want[i].at = 0, 0
				got[i].attempt, want[i].attempt = 0, 0
			}
			if cfg.Batch == 0 { // these come in any order
				order := func(a, b post) int { return strings.Compare(a.id, b.id) }
				slices.SortStableFunc(got, order)
				slices.SortStableFunc(want, order)
			}
			equal(t, "posts", fmt.Sprint(got), fmt.Sprint(want))
			other.Drain(ended())
		})
	}
}

func TestAnAttemptUnderWayIsRepeatedByTheNextWithTheSameID(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		f.Message(source(1, 5), []byte("1"), false)
		f.Message(source(1, 6), []byte("2"), false)
		time.Sleep(time.Second)
		start := time.Now()
		kept := keep(t, f, 1)
		equal(t, "took", time.Since(start), 0)
		a.begin(accept)
		other := next(t, a, Config{})
		takeUp(t, other, kept[1], 1, 6)
		other.Start()
		time.Sleep(time.Second)
		var got []string
		for _, p := range a.received() {
			got = append(got, fmt.Sprint(p.id, " ", p.attempt))
		}
		equal(t, "posts", fmt.Sprint(got), "[c1-5 2 c1-6 1]")
		other.Drain(ended())
	})
}

func TestWhatIsNotKeptGoesOnAfterAHold(t *testing.T) {
	for name, cfg := range map[string]Config{"one by one": {}, "batches": {Batch: 10, Linger: time.Second}, "pipelines": {Pipeline: 3, Concurrency: 1}} {
		for _, hangs := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", hangs), func(t *testing.T) {
				bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
					if a.serve = refuse; hangs {
						a.serve = func(p post, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
					}
					for key := 1; key <= 6; key++ {
						f.Message(source(key, 1), []byte("1"), false)
						f.Message(source(key, 2), []byte("2"), false)
					}
					time.Sleep(4 * time.Second)
					h, err := f.Hold(within(t, time.Second))
					if err != nil {
						t.Fatal(err)
					}
					a.begin(accept)
					f.Close(source(1, 3), End{Code: 1000})
					f.Close(source(7, 1), End{Code: 1000})
					time.Sleep(time.Minute)
					equal(t, "posts while it is held", len(a.received()), 0)
					h.Append(nil, 1)
					equal(t, "kept", h.Release(false), 0) // it could not be written
					time.Sleep(time.Minute)
					waits(t, f, 0, 0)
					var got []string
					for _, p := range a.received() {
						if cfg.Batch > 1 {
							got = append(got, p.ids(t)...)
						} else {
							got = append(got, p.id)
						}
					}
					slices.Sort(got)
					equal(t, "delivered", fmt.Sprint(got), "[c1-1 c1-2 c1-3 c2-1 c2-2 c3-1 c3-2 c4-1 c4-2 c5-1 c5-2 c6-1 c6-2 c7-1]")
				})
			})
		}
	}
}

func TestABatchOfWhichAPartIsKeptIsDeliveredWithoutIt(t *testing.T) {
	bubble(t, Config{Batch: 10, Linger: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = refuse
		for key := 1; key <= 4; key++ {
			f.Message(source(key, 1), []byte("1"), false)
		}
		time.Sleep(2 * time.Second)
		f.Message(source(5, 1), []byte("1"), false) // in no batch yet
		kept := keep(t, f, 1, 3, 5)
		waits(t, f, 2, 2)
		a.begin(accept)
		time.Sleep(time.Minute)
		waits(t, f, 0, 0)
		other := next(t, a, f.cfg)
		for key, r := range kept {
			takeUp(t, other, r, key, 1)
		}
		other.Start()
		time.Sleep(time.Minute)
		waits(t, other, 0, 0)
		var got []string
		for _, p := range a.received() {
			ids := p.ids(t)
			slices.Sort(ids)
			got = append(got, strings.Join(ids, ","))
		}
		equal(t, "batches", fmt.Sprint(got), "[c2-1,c4-1 c1-1,c3-1,c5-1]")
		other.Drain(ended())
	})
}

func TestWhatIsKeptIsNoDeadLetterAndWhatIsNotIs(t *testing.T) {
	for _, commit := range []bool{true, false} {
		file := filepath.Join(t.TempDir(), "dead.jsonl")
		bubble(t, Config{DeadLetter: file}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			a.setDown(true)
			f.Message(source(1, 1), []byte("1"), false)
			f.Message(source(1, 2), []byte("2"), false)
			f.Close(source(2, 1), End{})
			time.Sleep(time.Second)
			h, err := f.Hold(within(t, time.Second))
			if err != nil {
				t.Fatal(err)
			}
			h.Append(nil, 1)
			want := Leftover{Events: 1, DeadLetters: 1}
			if h.Release(commit); !commit {
				want = Leftover{Events: 3, DeadLetters: 3}
			}
			equal(t, "left over", f.Drain(within(t, time.Second)), want)
			equal(t, "failed", f.Stats().Failed, [Actions]uint64{0, uint64(want.Events) - 1, 1})
			raw, err := os.ReadFile(file)
			equal(t, "letters", bytes.Count(raw, []byte("\n")), want.Events)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheTimeForWhichAnEventIsTriedGoesOnWithoutTheTimeBetween(t *testing.T) {
	bubble(t, Config{RetryFor: time.Minute}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = refuse
		f.Message(source(1, 1), []byte("1"), false)
		f.Message(source(1, 2), []byte("2"), false)
		time.Sleep(40 * time.Second)
		kept := keep(t, f, 1)
		time.Sleep(time.Hour)
		other := next(t, a, Config{RetryFor: time.Minute})
		takeUp(t, other, kept[1], 1, 2)
		if oldest := other.Stats().Oldest; oldest != time.Hour+40*time.Second {
			t.Errorf("the oldest event has waited for %v", oldest)
		}
		other.Start()
		time.Sleep(19 * time.Second)
		equal(t, "failed after 59 s", other.Stats().Failed, [Actions]uint64{})
		time.Sleep(3 * time.Second)
		equal(t, "failed after a minute", other.Stats().Failed, [Actions]uint64{0, 1, 0})
		time.Sleep(57 * time.Second)
		equal(t, "failed of those whose time had not begun", other.Stats().Failed, [Actions]uint64{0, 1, 0})
		time.Sleep(3 * time.Second)
		equal(t, "failed in the end", other.Stats().Failed, [Actions]uint64{0, 2, 0})
		other.Drain(ended())
	})
}

func TestEveryAttemptCarriesTheSameMetadataInTheNextForwarderToo(t *testing.T) {
	store := meta.New(100)
	bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		set := func(s *meta.Store, text string) {
			v, err := s.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			s.Put(1, nil, v)
		}
		set(store, `{"n":1}`)
		a.serve = refuse
		f.Message(source(1, 1), []byte("1"), false)
		f.Message(source(1, 2), []byte("2"), false)
		time.Sleep(time.Second)
		kept := keep(t, f, 1)
		waits(t, f, 0, 0)
		a.begin(accept)
		later := meta.New(100)
		other := next(t, a, Config{Meta: later})
		set(later, `{"n":2}`)
		takeUp(t, other, kept[1], 1, 2)
		other.Start()
		time.Sleep(time.Second)
		posts := a.received()
		for i, want := range []string{`"meta":{"n":1}}`, `"meta":{"n":2}}`} {
			if got := posts[len(posts)-2+i].body; !strings.HasSuffix(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		}
		waits(t, other, 0, 0)
		other.Drain(ended())
	})
}

func TestAConnectionsNewEventsComeBehindThoseThatWereKept(t *testing.T) {
	bubble(t, Config{QueueEvents: 3}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		for seq := 1; seq <= 3; seq++ {
			f.Message(source(1, seq), []byte("1"), false)
		}
		kept := keep(t, f, 1)
		drained := make(chan uint64, 9)
		other := next(t, a, Config{QueueEvents: 3, Drained: func(key uint64) { drained <- key }})
		takeUp(t, other, kept[1], 1, 3)
		other.Start()
		equal(t, "full with what was kept", other.Message(source(1, 4), []byte("1"), false), true)
		other.Close(source(1, 5), End{Code: 1006})
		a.setDown(false)
		time.Sleep(time.Minute)
		equal(t, "delivered", fmt.Sprint(a.ids()), "[c1-1 c1-2 c1-3 c1-4 c1-5]")
		equal(t, "drained", take(t, drained), 1)
		other.Drain(ended())
	})
}

func TestMemoryBoundsWhatIsTakenUpAndTheRestIsGivenUp(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		const size = 20_000
		for key := 1; key <= 5; key++ {
			f.Message(source(key, 1), make([]byte, size), true)
			f.Message(source(key, 2), make([]byte, size), true)
		}
		before := f.Stats().Bytes
		kept := keep(t, f, 1, 2, 3, 4, 5)
		file := filepath.Join(t.TempDir(), "dead.jsonl")
		roomy := next(t, a, Config{Memory: before})
		other := next(t, a, Config{Memory: before * 7 / 10, DeadLetter: file})
		taken := 0
		for key := 1; key <= 5; key++ {
			takeUp(t, roomy, kept[key], key, 2)
			u, err := ParseUndelivered(kept[key], source(key, 2))
			if err != nil || u.Len() != 2 {
				t.Fatal(u.Len(), err)
			}
			if other.HasRoom(u) {
				other.TakeUp(u, 0)()
				taken++
			} else {
				equal(t, "letters", other.GiveUp(u), 2)
			}
		}
		equal(t, "memory is as before", roomy.Stats().Bytes, before)
		equal(t, "taken", taken, 3)
		waits(t, other, 3, 6)
		if s := other.Stats(); s.Bytes > before*7/10 || s.Failed[actionMessage] != 4 {
			t.Errorf("%d bytes of %d, %d have failed", s.Bytes, before*7/10, s.Failed[actionMessage])
		}
		a.setDown(false)
		other.Start()
		time.Sleep(time.Minute)
		waits(t, other, 0, 0)
		if raw, err := os.ReadFile(file); err != nil || bytes.Count(raw, []byte("\n")) != 4 {
			t.Errorf("%d letters, %v", bytes.Count(raw, []byte("\n")), err)
		}
		other.Drain(ended())
		roomy.Drain(ended())
	})
}

func TestAHoldWhoseTimeIsOverChangesNothing(t *testing.T) {
	var released context.Context
	cfg := Config{Concurrency: 2, Reply: func(uint64, Reply) { <-released.Done() }} // a loop hangs
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		ctx, release := context.WithCancel(t.Context())
		defer release()
		released = ctx
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if p.id == "c1-1" {
				fmt.Fprint(w, "a reply")
			} else if p.id == "c2-1" && p.attempt == 1 {
				<-r.Context().Done()
			}
		}
		for key := 1; key <= 3; key++ {
			f.Message(source(key, 1), []byte("1"), false)
		}
		time.Sleep(time.Second)
		if _, err := f.Hold(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		waits(t, f, 1, 1)
		release()
		f.Message(source(4, 1), []byte("1"), false)
		f.Message(source(5, 1), []byte("1"), false)
		time.Sleep(time.Minute)
		waits(t, f, 0, 0)
	})
}

func TestAHoldCutsOffConnectingAndTheNextAttemptConnects(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		dials := 0
		f.terms.Load().dial = func(ctx context.Context) (net.Conn, error) {
			if dials++; dials == 1 {
				<-ctx.Done()
			} else if ctx.Err() != nil {
				t.Error("the next attempt cannot connect")
			}
			if dials == 1 {
				return nil, ctx.Err()
			}
			return a.dial(context.Background())
		}
		f.Message(source(1, 1), []byte("1"), false)
		synctest.Wait()
		h, err := f.Hold(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		h.Release(false)
		waits(t, f, 0, 0)
		equal(t, "delivered", f.Stats().Delivered, [Actions]uint64{0, 1})
	})
}

func TestAnAuthorizationIsAskedAgainAfterAHold(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if p.attempt == 1 {
				<-r.Context().Done()
			}
			w.Header().Set("X-Ws-User", "bob")
		}
		answers := make(chan Answer, 1)
		f.Authorize(source(1, 1), Request{}, func(a Answer) { answers <- a })
		synctest.Wait()
		h, err := f.Hold(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if _, events := h.Append(nil, 1); events > 0 {
			t.Error("an authorization is kept")
		}
		h.Release(true)
		synctest.Wait()
		equal(t, "user", take(t, answers).User, "bob")
	})
}

// slowJournal records nothing until it is told to.
type slowJournal struct {
	Journal
	recorded []func()
}

func (j *slowJournal) Opened(_, _ []byte, recorded func()) { j.recorded = append(j.recorded, recorded) }
func (j *slowJournal) Closed([]byte)                       {}

func TestAnOpenThatWaitsForTheJournalIsKeptAndNotDeliveredAfterwards(t *testing.T) {
	j := new(slowJournal)
	bubble(t, Config{Journal: j}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for key := 1; key <= 2; key++ {
			f.Open(source(key, 1), Request{})
			f.Message(source(key, 2), []byte("1"), false)
		}
		kept := keep(t, f, 1)
		for _, recorded := range j.recorded {
			recorded()
		}
		waits(t, f, 0, 0)
		equal(t, "delivered here", fmt.Sprint(a.ids()), "[c2-1 c2-2]")
		other := next(t, a, Config{})
		takeUp(t, other, kept[1], 1, 2)
		other.Start()
		waits(t, other, 0, 0)
		equal(t, "delivered there", fmt.Sprint(a.ids()), "[c2-1 c2-2 c1-1 c1-2]")
		other.Drain(ended())
	})
}

// Connections are kept again and again at any moment, by an app that takes things or not:
// each of their events arrives in order, and more than once only if an attempt was cut off.
func TestEventsCrossAnyNumberOfForwardersInOrder(t *testing.T) {
	for name, cfg := range map[string]Config{"one by one": {}, "batches": {Batch: 4, Linger: 5 * time.Millisecond}, "pipelines": {Pipeline: 3}} {
		t.Run(name, func(t *testing.T) {
			cfg.Concurrency, cfg.RetryFor = 2, 24*time.Hour
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			synctest.Test(t, func(t *testing.T) { crossForwarders(t, cfg, random) })
		})
	}
}

func crossForwarders(t *testing.T, cfg Config, random *rand.Rand) {
	const keys = 12
	a := newFakeApp(t)
	var last [keys]int // number of the last event of each
	took := map[string]int{}
	var order [keys][]int
	odds := rand.New(rand.NewPCG(random.Uint64(), 1))
	a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		switch odds.IntN(4) {
		case 0:
			w.WriteHeader(503)
			return
		case 1:
			pause := time.Duration(odds.IntN(20)) * time.Millisecond
			a.mu.Unlock()
			time.Sleep(pause)
			a.mu.Lock()
		}
		ids := []string{p.id}
		if cfg.Batch > 1 {
			ids = p.ids(t)
		}
		for _, id := range ids {
			if took[id]++; took[id] > 1 {
				continue
			}
			key, seq, _ := strings.Cut(id[1:], "-")
			k, _ := strconv.Atoi(key)
			n, _ := strconv.Atoi(seq)
			order[k-1] = append(order[k-1], n)
		}
	}
	f := next(t, a, cfg)
	f.Start()
	for range 30 {
		for range random.IntN(40) {
			key := 1 + random.IntN(keys)
			last[key-1]++
			f.Message(source(key, last[key-1]), []byte("1"), false)
		}
		a.setDown(random.IntN(3) == 0)
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		h, err := f.Hold(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 {
			h.Append(nil, uint64(1+random.IntN(keys)))
			h.Release(false)
			continue
		}
		var kept [keys]record.Fields
		all, events := 0, 0
		for i := range keys {
			kept[i], events = h.Append(nil, uint64(i+1))
			all += events
		}
		equal(t, "kept", h.Release(true), all)
		waits(t, f, 0, 0)
		equal(t, "left over", f.Drain(ended()), Leftover{})
		f = next(t, a, cfg)
		for i := range keys {
			takeUp(t, f, kept[i], i+1, last[i])
		}
		f.Start()
	}
	a.setDown(false)
	time.Sleep(10 * time.Minute)
	waits(t, f, 0, 0)
	for i := range keys {
		equal(t, "events of a connection", len(order[i]), last[i])
		if !slices.IsSorted(order[i]) {
			t.Errorf("%v", order[i])
		}
	}
	f.Drain(ended())
}

// sampleRecord is a record as it stands in fields that must stay what they are.
func sampleRecord() record.Fields {
	event := func(action string, number uint64, more record.Fields) record.Fields {
		f := record.AppendNumber(record.Append(nil, 2, action), 4, number)
		f = record.Append(f, 6, `{"data":{},"action":"`+action+`"}`)
		return append(f, more...)
	}
	f := record.Append(nil, 2, "\nsid=1\nX-A: b\r\n")
	tried := record.AppendNumber(record.AppendNumber(record.Append(nil, 8, `{"n":1}`), 10, 3), 12, 5000)
	f = record.Append(f, 4, event("open", 1, record.AppendNumber(tried, 13, 900)))
	f = record.Append(f, 2, "sid=2")
	f = record.Append(f, 4, event("resumed", 2, nil))
	return record.Append(f, 4, event("message", 3, nil))
}

func TestARecordThatWasWrittenStaysReadable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		takeUp(t, f, sampleRecord(), 1, 3)
		waits(t, f, 0, 0)
		var got []string
		for _, p := range a.received() {
			got = append(got, fmt.Sprint(p.id, " ", p.attempt, " ", p.cookie, " ", p.body))
		}
		equal(t, "posts", strings.Join(got, "\n"), `c1-1 4 sid=1 {"data":{},"action":"open","meta":{"n":1}}
c1-2 1 sid=2 {"data":{},"action":"resumed"}
c1-3 1 sid=2 {"data":{},"action":"message"}`)
	})
}

func TestARecordOfWhichSomethingIsMissingOrUnknownIsRefused(t *testing.T) {
	event := func(f ...record.Fields) record.Fields { return record.Append(nil, 4, slices.Concat(f...)) }
	action, number, body := record.Append(nil, 2, "message"), record.AppendNumber(nil, 4, 7), record.Append(nil, 6, `{}`)
	whole := event(action, number, body)
	if u, err := ParseUndelivered(append(whole, record.Append(event(action, record.AppendNumber(nil, 4, 8), body, record.Append(nil, 99, "x")), 99, "y")...), source(1, 8)); err != nil || u.Len() != 2 {
		t.Fatal(u, err)
	}
	for name, f := range map[string]record.Fields{
		"a later field":             record.Append(whole, 98, "x"),
		"a later field of an event": event(action, number, body, record.Append(nil, 98, "x")),
		"a later action":            event(record.Append(nil, 2, "sneezed"), number, body),
		"no action":                 event(number, body),
		"no number":                 event(action, body),
		"number 0":                  event(action, record.AppendNumber(nil, 4, 0), body),
		"a number too large":        event(action, record.AppendNumber(nil, 4, 1<<32+7), body),
		"another last number":       event(action, record.AppendNumber(nil, 4, 6), body),
		"a gap":                     append(event(action, record.AppendNumber(nil, 4, 5), body), whole...),
		"no body":                   event(action, number),
		"a body that is no object":  event(action, number, record.Append(nil, 6, `[]`)),
		"a body with a blank":       event(action, number, record.Append(nil, 6, `{} `)),
		"a body cut off":            event(action, number, record.Append(nil, 6, `{"a":}`)),
		"metadata that is none":     event(action, number, body, record.Append(nil, 8, `{`)),
		"too many attempts":         event(action, number, body, record.AppendNumber(nil, 10, 1<<31)),
		"an odd time":               event(action, number, body, record.AppendNumber(nil, 12, 1<<32)),
		"a header that ends early":  append(record.Append(nil, 2, "a=b\r\nX-Evil: 1"), whole...),
		"headers that are none":     append(record.Append(nil, 2, "\na=b\nX Y: 1\r\n"), whole...),
		"headers cut off":           append(record.Append(nil, 2, "\na=b\nX-Y: 1"), whole...),
		"one behind a close":        append(event(record.Append(nil, 2, "close"), record.AppendNumber(nil, 4, 6), body), whole...),
		"half a field":              whole[:len(whole)-1],
	} {
		if u, err := ParseUndelivered(f, source(1, 7)); err == nil {
			t.Errorf("%s: %d events", name, u.Len())
		}
	}
}

func FuzzParseUndelivered(f *testing.F) {
	f.Add([]byte(sampleRecord()), uint32(3))
	f.Fuzz(func(t *testing.T, b []byte, last uint32) {
		u, err := ParseUndelivered(b, source(1, int(last)))
		if err != nil {
			return
		}
		cost := laneCost
		for i, e := range u.events {
			if want := uint64(last) - uint64(len(u.events)-1-i); e.number() != want {
				t.Errorf("number %d, want %d", e.number(), want)
			}
			p := e.request()
			if len(p.Body) < 1 || strings.ContainsAny(p.Cookie, "\r\n\x00") {
				t.Errorf("%+v", p)
			}
			e.appendElement(nil)
			e.letter(ending{})
			cost += e.cost() + e.metaCost()
		}
		if u.Len() > 0 && u.cost < cost || cost > laneCost+int64(len(b))*200+int64(u.Len())*1024 {
			t.Errorf("it costs %d, and says %d", cost, u.cost)
		}
	})
}

// What a record costs is bounded by what its events hold.
func BenchmarkHeldAppend(b *testing.B) {
	f, err := New(Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Drain(ended())
	for seq := 1; seq <= 100; seq++ {
		f.Message(source(1, seq), make([]byte, 300), true)
	}
	h, err := f.Hold(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	var dst record.Fields
	for b.Loop() {
		h.lanes = h.lanes[:0]
		dst, _ = h.Append(dst[:0], 1)
	}
	b.SetBytes(int64(len(dst)))
	h.Release(false)
}
