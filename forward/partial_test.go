package forward

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

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
