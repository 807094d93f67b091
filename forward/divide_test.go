package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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

// partly answers that these events, by id, were not taken.
func partly(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("X-Ws-Batch", "Partial")
	_, _ = fmt.Fprintf(w, format, args...)
}

func TestAnAppCanTakePartOfABatch(t *testing.T) {
	bubble(t, Config{Batch: 12, Linger: time.Second, RetryFor: time.Minute}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		var mu sync.Mutex
		var posts [][]string
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			posts = append(posts, p.ids(t))
			switch len(posts) {
			case 1:
				partly(w, `{"failed":[{"request_id":"c0-1"},{"request_id":"c1-1","retry":false},{"request_id":"c2-0","retry":true},{"request_id":"c9-9"}]}`)
			case 2:
				w.Header().Set("Retry-After", "10")
				partly(w, `{"failed":[{"request_id":"c2-1"}]}`)
			case 3:
				partly(w, `{"failed":[]}`)
			}
		}
		time.Sleep(time.Second)
		speak(f, 4, 3, func(int, int) bool { return false })
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		f.Message(source(3, 3), []byte("3"), false) // waits for nobody
		time.Sleep(5 * time.Second)
		mu.Lock()
		equal(t, "posts", fmt.Sprint(posts), "[[c0-0 c1-0 c2-0 c3-0 c0-1 c1-1 c2-1 c3-1 c0-2 c1-2 c2-2 c3-2] [c0-1 c0-2 c2-0 c2-1 c2-2] [c3-3]]")
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		equal(t, "the rest", fmt.Sprint(posts[3:]), "[[c2-1 c2-2]]")
		s := f.Stats()
		equal(t, "delivered", s.Delivered[actionMessage], 12)
		equal(t, "failed", s.Failed[actionMessage], 1)
		equal(t, "counted", fmt.Sprint(s.Partial, s.PartialUnreadable, s.PartialUnknown), "3 0 1")
		equal(t, "left", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})
		if !strings.Contains(log.String(), `"request_id":"c1-1","action":"message","attempts":1,"status":200`) {
			t.Errorf("the log is %s", log)
		}
	})
}

func TestAnEventThatIsNeverTakenInPartFailsAtTheEndOfItsTime(t *testing.T) {
	bubble(t, Config{Batch: 4, Linger: time.Second, RetryFor: 10 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		var last atomic.Int64
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if slices.Contains(p.ids(t), "c1-0") {
				last.Store(int64(p.at))
				partly(w, `{"failed":[{"request_id":"c1-0"}]}`)
			}
		}
		speak(f, 4, 1, func(int, int) bool { return false })
		f.Message(source(1, 1), []byte("1"), false)
		time.Sleep(time.Minute)
		s := f.Stats()
		equal(t, "delivered", s.Delivered[actionMessage], 4)
		equal(t, "failed", s.Failed[actionMessage], 1)
		if last := time.Duration(last.Load()); last < 9*time.Second || last > 12*time.Second {
			t.Errorf("the last attempt was at %v", last)
		}
	})
}

// stopping is an app that handles each connection's events in order, names the first
// that it does not take, and does not look at what stands behind it.
func stopping(picky *pickyApp) func(post, http.ResponseWriter, *http.Request) {
	return func(p post, w http.ResponseWriter, _ *http.Request) {
		var events []pickyEvent
		if err := json.Unmarshal([]byte(p.body), &events); err != nil {
			picky.t.Error(err)
		}
		stopped, failed := map[string]bool{}, []string{}
		for _, e := range events {
			switch {
			case stopped[e.Conn]:
			case e.poison():
				stopped[e.Conn] = true
				failed = append(failed, `{"request_id":"`+e.ID+`"}`)
			default:
				picky.take(e, p)
			}
		}
		partly(w, `{"failed":[%s]}`, strings.Join(failed, ","))
	}
}

func TestWhatStandsBehindAnEventThatIsGivenUpIsNotTakenForDelivered(t *testing.T) {
	for name, poison := range map[string]func(key, seq int) bool{
		"one":          one(1, 2),
		"the first":    one(1, 0),
		"the last":     one(1, 7),
		"two in a row": func(key, seq int) bool { return key == 1 && (seq == 2 || seq == 3) },
		"two apart":    func(key, seq int) bool { return key == 1 && (seq == 1 || seq == 5) },
		"of each":      func(key, seq int) bool { return seq == key },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{Batch: 32, Linger: time.Second, RetryFor: 10 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
				picky := &pickyApp{t: t, taken: map[string]int{}, at: map[string]time.Duration{}}
				a.serve = stopping(picky)
				culprits := speak(f, 4, 8, poison)
				time.Sleep(5 * time.Minute)
				picky.mu.Lock()
				defer picky.mu.Unlock()
				equal(t, "taken", len(picky.at), 32-len(culprits))
				s := f.Stats()
				equal(t, "delivered", s.Delivered[actionMessage], uint64(32-len(culprits)))
				equal(t, "failed", s.Failed[actionMessage], uint64(len(culprits)))
				equal(t, "left", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})
			})
		})
	}
}

func TestAnAppThatNamesAllThatItDoesNotTakeHasThemGivenUpTogether(t *testing.T) {
	bubble(t, Config{Batch: 8, Linger: time.Second, RetryFor: 10 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			var failed []string
			for _, id := range p.ids(t) {
				failed = append(failed, `{"request_id":"`+id+`"}`)
			}
			partly(w, `{"failed":[%s]}`, strings.Join(failed, ","))
		}
		speak(f, 1, 8, func(int, int) bool { return false })
		time.Sleep(15 * time.Second)
		equal(t, "failed", f.Stats().Failed[actionMessage], uint64(8))
	})
}

func TestAPartialAnswerThatCannotBeReadHasTheWholeBatchSentAgain(t *testing.T) {
	for _, body := range []string{
		"", "null", "[]", `{"failed":1}`, `{}`, `{"failed":[1]}`, `{"failed":[{}]}`, `{"failed":[{"request_id":1}]}`, `{"failed":[{"request_id":"c0-0","retry":"no"}]}`,
		`{"failed":[{"request_id":"c0-0"}]`, "{\"failed\":[]}\xff", strings.Repeat(" ", 1<<20) + `{"failed":[]}`, strings.Repeat("[", 20_000),
	} {
		bubble(t, Config{Batch: 2, Linger: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				if len(a.received()) < 3 {
					w.Header().Set("X-Ws-Batch", "partial")
					_, _ = io.WriteString(w, body)
				}
			}
			speak(f, 2, 1, func(int, int) bool { return false })
			time.Sleep(time.Minute)
			attempts := 0
			for _, p := range a.received() {
				if slices.Contains(p.ids(t), "c0-0") { // the other may have come too late for its batch
					attempts++
				}
			}
			equal(t, "attempts", attempts, 3)
			s := f.Stats()
			equal(t, "delivered", s.Delivered[actionMessage], 2)
			equal(t, "unreadable", s.PartialUnreadable, 2)
			equal(t, "said", strings.Count(log.String(), "X-Ws-Batch"), 1)
		})
	}
}

func TestOtherAnswersToABatchAreTakenForNothingPartial(t *testing.T) {
	for _, value := range []string{"", "whole", "partial, x"} {
		bubble(t, Config{Batch: 2, Linger: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				if value != "" {
					w.Header().Set("X-Ws-Batch", value)
				}
				_, _ = io.WriteString(w, `{"failed":[{"request_id":"c0-0"}]}`)
			}
			speak(f, 2, 1, func(int, int) bool { return false })
			time.Sleep(time.Minute)
			equal(t, "delivered", f.Stats().Delivered[actionMessage], 2)
			var posted []string
			for _, p := range a.received() { // two, if the second event came too late for the first's batch
				posted = append(posted, p.ids(t)...)
			}
			slices.Sort(posted)
			equal(t, "posted", strings.Join(posted, " "), "c0-0 c1-0")
		})
	}
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

func FuzzPartialAnswers(f *testing.F) {
	for _, s := range []string{`{"failed":[{"request_id":"a-1"},{"request_id":"a-2","retry":false}]}`, `{"failed":[]}`, `[]`, `{"failed":{"request_id":"a"}}`, `{"failed":[{"request_id":"a","request_id":1}]}`, `{"failed":[[]],"failed":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		failed, ok := parsePartial(body)
		if !ok {
			return
		}
		if !json.Valid(body) || body[strings.IndexFunc(string(body), func(r rune) bool { return r > ' ' })] != '{' {
			t.Errorf("%q is read as %v", body, failed)
		}
	})
}
