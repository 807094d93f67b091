package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pickyApp takes a batch whole or not at all, unless a test says otherwise, and
// checks that what it has taken came once and in order.
type pickyApp struct {
	t *testing.T

	mu    sync.Mutex
	taken map[string]int // events by connection
	at    map[string]time.Duration
	posts int
}

type pickyEvent struct {
	ID   string          `json:"request_id"`
	Conn string          `json:"conn_id"`
	Data json.RawMessage `json:"data"`
}

func (e *pickyEvent) poison() bool { return strings.Contains(string(e.Data), "poison") }

const hanging = -1 // a status: there is no answer

// serve lets verdict decide about each batch.
func (a *pickyApp) serve(verdict func(events []pickyEvent, w http.ResponseWriter) (status int)) func(post, http.ResponseWriter, *http.Request) {
	a.taken, a.at = map[string]int{}, map[string]time.Duration{}
	return func(p post, w http.ResponseWriter, r *http.Request) {
		var events []pickyEvent
		if err := json.Unmarshal([]byte(p.body), &events); err != nil {
			a.t.Errorf("%v: %s", err, p.body)
		}
		a.mu.Lock()
		a.posts++
		a.mu.Unlock()
		switch status := verdict(events, w); status {
		case 0:
		case hanging:
			<-r.Context().Done()
			return
		default:
			w.WriteHeader(status)
			return
		}
		for _, e := range events {
			a.take(e, p)
		}
	}
}

// take notes an event that has been taken. A number that is left out is one that
// has failed for good.
func (a *pickyApp) take(e pickyEvent, p post) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var key, seq int
	if _, err := fmt.Sscanf(e.ID, "c%d-%d", &key, &seq); err != nil {
		a.t.Error(err)
	}
	if seq <= a.taken[e.Conn]-1 {
		a.t.Errorf("%s came again, or late", e.ID)
	}
	a.taken[e.Conn] = seq + 1
	a.at[e.ID] = p.at
}

// refusing answers with status where there is poison.
func refusing(status int) func([]pickyEvent, http.ResponseWriter) int {
	return func(events []pickyEvent, _ http.ResponseWriter) int {
		if slices.ContainsFunc(events, func(e pickyEvent) bool { return e.poison() }) {
			return status
		}
		return 0
	}
}

// speak has lanes connections say so many things each. poison says which of them
// the app does not take.
func speak(f *Forwarder, lanes, events int, poison func(key, seq int) bool) (culprits []string) {
	for seq := range events {
		for key := range lanes {
			data := fmt.Sprint(seq)
			if poison(key, seq) {
				data = `"poison"`
				culprits = append(culprits, fmt.Sprintf("c%d-%d", key, seq))
			}
			f.Message(source(key, seq), []byte(data), false)
		}
	}
	return culprits
}

func one(key, seq int) func(int, int) bool {
	return func(k, s int) bool { return k == key && s == seq }
}

func TestOnlyTheEventThatTheAppDoesNotTakeFails(t *testing.T) {
	const batch = 64
	hang := func(events []pickyEvent, _ http.ResponseWriter) int { return refusing(hanging)(events, nil) }
	crash := func(events []pickyEvent, _ http.ResponseWriter) int {
		if refusing(1)(events, nil) != 0 {
			panic(http.ErrAbortHandler)
		}
		return 0
	}
	for _, c := range []struct {
		name          string
		lanes, events int
		verdict       func([]pickyEvent, http.ResponseWriter) int
		poison        func(key, seq int) bool
		posts         int           // at most, besides repetitions of a culprit that is alone
		within        time.Duration // for what is not behind a culprit
	}{
		{"refused, the first", 64, 1, refusing(400), one(0, 0), 14, 0},
		{"refused, the last", 64, 1, refusing(400), one(63, 0), 14, 0},
		{"refused, in the middle of long lanes", 8, 8, refusing(422), one(4, 3), 16, 0},
		{"refused, of one connection, the first", 1, 64, refusing(400), one(0, 0), 16, 0},
		{"refused, of one connection, the last", 1, 64, refusing(400), one(0, 63), 16, 0},
		{"refused, of one connection, in the middle", 1, 64, refusing(400), one(0, 31), 20, 0},
		{"refused, two", 64, 1, refusing(400), func(k, _ int) bool { return k == 3 || k == 60 }, 28, 0},
		{"refused, two of one connection", 4, 16, refusing(400), func(k, s int) bool { return k == 1 && (s == 2 || s == 15) }, 36, 0},
		{"refused, every second", 64, 1, refusing(400), func(k, _ int) bool { return k%2 == 0 }, 128, 0},
		{"refused, all", 64, 1, refusing(400), func(int, int) bool { return true }, 128, 0},
		{"unavailable, one", 64, 1, refusing(500), one(17, 0), 24, 5 * time.Second},
		{"unavailable, one in long lanes", 8, 8, refusing(503), one(7, 5), 26, 5 * time.Second},
		{"unavailable, of one connection", 1, 64, refusing(500), one(0, 40), 34, 5 * time.Second},
		{"unavailable, three", 64, 1, refusing(500), func(k, _ int) bool { return k%20 == 5 }, 70, 10 * time.Second},
		{"broken off", 64, 1, crash, one(9, 0), 40, 5 * time.Second},
		{"hanging", 64, 1, hang, one(33, 0), 24, 3 * time.Minute},
		{"hanging, of one connection", 1, 64, hang, one(0, 40), 40, 5 * time.Minute},
		{"hanging, in long lanes", 8, 8, hang, one(3, 3), 26, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dead.jsonl")
			var culprits []string
			cfg := Config{Batch: batch, Linger: time.Second, DeadLetter: file, RetryFor: time.Minute}
			bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
				picky := &pickyApp{t: t}
				a.serve = picky.serve(c.verdict)
				time.Sleep(time.Second) // instants are not 0
				culprits = speak(f, c.lanes, c.events, c.poison)
				start := f.now()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				s := f.Stats()
				equal(t, "failed", s.Failed[actionMessage], uint64(len(culprits)))
				equal(t, "delivered", s.Delivered[actionMessage], uint64(c.lanes*c.events-len(culprits)))
				equal(t, "left", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})
				picky.mu.Lock()
				defer picky.mu.Unlock()
				retries := 0
				if len(culprits) < 4 {
					retries = len(culprits) * 20 // of a minute
				}
				if picky.posts > c.posts+retries {
					t.Errorf("%d POSTs", picky.posts)
				}
				equal(t, "events that were taken", len(picky.at), c.lanes*c.events-len(culprits))
				for id, at := range picky.at {
					behind := slices.ContainsFunc(culprits, func(culprit string) bool {
						return strings.HasPrefix(id, culprit[:strings.IndexByte(culprit, '-')+1])
					})
					if at-start > c.within+2*time.Second && !behind {
						t.Errorf("%s came after %v", id, at-start)
					}
				}
				if n := strings.Count(log.String(), "it is divided until"); n != 1 {
					t.Errorf("division was said %d times", n)
				}
			})
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "letters", strings.Count(string(raw), "\n"), len(culprits))
			for _, id := range culprits {
				equal(t, "letters of "+id, strings.Count(string(raw), `"request_id":"`+id+`"`), 1)
			}
		})
	}
}

// When a part has ended, all that is left of the batch is sent next. So an event that has
// come with those before it comes with those behind it too.
func TestABatchOfOneConnectionIsSentInPartsAndThenTheRest(t *testing.T) {
	for name, verdict := range map[string]int{"refused": 400, "not answered": hanging} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{Batch: 4, Linger: time.Second, Timeout: 10 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
				var mu sync.Mutex
				var whole, rest []string
				takes := func(p post) bool {
					ids := p.ids(t)
					if !strings.HasPrefix(ids[0], "c0-") { // evidence that the app takes events
						return true
					}
					mu.Lock()
					defer mu.Unlock()
					if key := fmt.Sprint(p.attempt, ids); len(ids) == 4 {
						whole = append(whole, key)
					} else {
						rest = append(rest, key)
					}
					return len(rest) > 1
				}
				a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
					switch {
					case takes(p):
					case verdict == hanging:
						<-r.Context().Done()
					default:
						w.WriteHeader(verdict)
					}
				}
				time.Sleep(time.Second)
				speak(f, 1, 4, func(int, int) bool { return false })
				for other := 1; other < 60; other++ {
					time.Sleep(time.Second)
					f.Message(source(other, 0), []byte("1"), false)
				}
				time.Sleep(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				n := len(whole)
				equal(t, "posts", fmt.Sprint(rest), fmt.Sprintf("[%d [c0-0 c0-1] %d [c0-0] %d [c0-1 c0-2 c0-3]]", n+1, n+2, n+2))
				equal(t, "delivered", f.Stats().Delivered[actionMessage], 63)
			})
		})
	}
}

func TestAnOpenOrCloseEventThatTheAppDoesNotTakeFailsAlone(t *testing.T) {
	for _, action := range []string{"open", "close"} {
		bubble(t, Config{Batch: 30, Linger: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			var taken atomic.Int32
			a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
				if strings.Contains(p.body, `"action":"`+action+`","user_name":"alice","conn_id":"c4"`) {
					w.WriteHeader(400)
					return
				}
				taken.Add(int32(len(p.ids(t))))
			}
			for key := range 10 {
				f.Open(source(key, 0), Request{})
				f.Message(source(key, 1), []byte("1"), false)
				f.Close(source(key, 2), End{})
			}
			time.Sleep(time.Minute)
			s := f.Stats()
			equal(t, "failed", s.Failed[0]+s.Failed[1]+s.Failed[2], 1)
			equal(t, "taken", taken.Load(), 29)
		})
	}
}

func TestWhileTheAppTakesNothingNoBatchIsDivided(t *testing.T) {
	for name, verdict := range map[string]func([]pickyEvent, http.ResponseWriter) int{
		"503":        func([]pickyEvent, http.ResponseWriter) int { return 503 },
		"hanging":    func([]pickyEvent, http.ResponseWriter) int { return hanging },
		"broken off": func([]pickyEvent, http.ResponseWriter) int { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{Batch: 50, Linger: time.Second, RetryFor: time.Minute}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
				picky := &pickyApp{t: t}
				var healthy atomic.Bool
				a.serve = picky.serve(func(events []pickyEvent, w http.ResponseWriter) int {
					if healthy.Load() {
						return 0
					}
					return verdict(events, w)
				})
				time.Sleep(time.Second)
				for batch := range 9 { // of fifty connections each
					for key := range 50 {
						f.Message(source(50*batch+key, 0), []byte("1"), false)
					}
					synctest.Wait()
				}
				for seq := range 50 { // of one
					f.Message(source(450, seq), []byte("1"), false)
				}
				time.Sleep(50 * time.Second)
				synctest.Wait()
				s := f.Stats()
				equal(t, "divided", s.Divided, 0)
				equal(t, "failed", s.Failed[actionMessage], 0)
				// Ten batches, each tried as often as a single event would be.
				if s.Attempts > 10*20 {
					t.Errorf("%d attempts", s.Attempts)
				}
				healthy.Store(true)
				time.Sleep(9 * time.Second) // some hang until their time is over
				synctest.Wait()
				if s := f.Stats(); s.Divided != 0 || s.Attempts > 10*24 {
					t.Errorf("after the outage: divided %d times, %d attempts", s.Divided, s.Attempts)
				}
				time.Sleep(time.Minute)
				equal(t, "delivered", f.Stats().Delivered[actionMessage], 500)
				equal(t, "left", f.Stats().Events, 0)
			})
		})
	}
	// Nor is it when all of them have failed for good.
	bubble(t, Config{Batch: 50, Linger: time.Second, RetryFor: time.Minute}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		picky := &pickyApp{t: t}
		a.serve = picky.serve(func([]pickyEvent, http.ResponseWriter) int { return 500 })
		time.Sleep(time.Second)
		speak(f, 500, 1, func(int, int) bool { return false })
		time.Sleep(3 * time.Minute)
		s := f.Stats()
		equal(t, "divided", s.Divided, 0)
		equal(t, "failed", s.Failed[actionMessage], 500)
		equal(t, "left", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})
	})
}

func TestABatchIsDividedEvenIfThereIsTimeForOneAttempt(t *testing.T) {
	bubble(t, Config{Batch: 50, Linger: time.Second, RetryFor: time.Millisecond, Timeout: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		picky := &pickyApp{t: t}
		a.serve = picky.serve(func(events []pickyEvent, w http.ResponseWriter) int {
			time.Sleep(10 * time.Millisecond)
			return refusing(503)(events, w)
		})
		time.Sleep(time.Second)
		speak(f, 50, 1, one(20, 0))
		time.Sleep(time.Minute)
		s := f.Stats()
		equal(t, "failed", s.Failed[actionMessage], 1)
		equal(t, "delivered", s.Delivered[actionMessage], 49)
	})
}

func TestDrainEndsWithABatchThatTheAppDoesNotTake(t *testing.T) {
	bubble(t, Config{Batch: 64, Linger: time.Hour, RetryFor: time.Minute}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		picky := &pickyApp{t: t}
		a.serve = picky.serve(refusing(500))
		time.Sleep(time.Second)
		speak(f, 60, 1, one(30, 0))
		equal(t, "left over", f.Drain(within(t, 20*time.Second)).Events, 1) // it would be tried for a minute
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 59)
	})
	bubble(t, Config{Batch: 64, Linger: time.Hour}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		picky := &pickyApp{t: t}
		a.serve = picky.serve(refusing(400))
		speak(f, 4, 16, one(2, 3))
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 63)
	})
}

func TestNothingIsLostOrReorderedWhateverTheAppTakes(t *testing.T) {
	const lanes, events = 60, 12
	for seed := range uint64(6) {
		bubble(t, Config{Batch: 40, Linger: 20 * time.Millisecond, Concurrency: 4, RetryFor: 24 * time.Hour}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			picky := &pickyApp{t: t, taken: map[string]int{}, at: map[string]time.Duration{}}
			random := newChaos(seed, 0)
			refused, attempts := map[string]bool{}, map[string]int{}
			a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
				var all []pickyEvent
				if err := json.Unmarshal([]byte(p.body), &all); err != nil {
					t.Error(err)
				}
				random.mu.Lock()
				defer random.mu.Unlock()
				for _, e := range all {
					if p.attempt <= attempts[e.ID] {
						t.Errorf("%s came as attempt %d after %d", e.ID, p.attempt, attempts[e.ID])
					}
					attempts[e.ID] = p.attempt
				}
				fault := random.random.IntN(12)
				switch {
				case fault == 0:
					w.WriteHeader(500)
					return
				case fault == 1:
					panic(http.ErrAbortHandler)
				case fault > 6 && refusing(400)(all, w) != 0:
					if len(all) == 1 {
						refused[all[0].ID] = true
					}
					w.WriteHeader(400)
					return
				}
				held, failed := map[string]bool{}, []string{`{"request_id":"c999-1"}`}
				for _, e := range all {
					switch {
					case held[e.Conn]:
					case e.poison():
						refused[e.ID] = true
						failed = append(failed, `{"retry":false,"request_id":"`+e.ID+`"}`)
					case random.random.IntN(8) == 0:
						held[e.Conn] = true
						failed = append(failed, `{"request_id":"`+e.ID+`"}`)
					default:
						picky.take(e, p)
					}
				}
				partly(w, `{"failed":[%s]}`, strings.Join(failed, ","))
			}
			poison := func(key, seq int) bool { return (key*events+seq)%37 == int(seed) }
			culprits := speak(f, lanes, events, poison)
			equal(t, "left over", f.Drain(context.Background()), Leftover{})
			equal(t, "refused", len(refused), len(culprits))
			for _, id := range culprits {
				if !refused[id] {
					t.Errorf("%s was not refused", id)
				}
			}
			equal(t, "taken", len(picky.at), lanes*events-len(culprits))
			s := f.Stats()
			equal(t, "delivered", s.Delivered[actionMessage], uint64(lanes*events-len(culprits)))
			equal(t, "failed", s.Failed[actionMessage], uint64(len(culprits)))
			equal(t, "what is left", [4]int64{s.Lanes, s.Events, s.Bytes, f.lanes.available.Load()}, [4]int64{})
			equal(t, "claims left", f.pool.sched.claimed, 0)
		})
	}
}
