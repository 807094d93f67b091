package forward

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneConnectionsEventsArriveInOrderOneAtATime(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, _ http.ResponseWriter, _ *http.Request) { time.Sleep(10 * time.Millisecond) }
		f.Open(source(1, 0), Request{URI: "/ws"})
		for i := 1; i <= 20; i++ {
			f.Message(source(1, i), fmt.Appendf(nil, "%d", i), false)
		}
		f.Close(source(1, 21), End{Code: 1000, Initiator: "client"})
		f.Message(source(2, 0), []byte("0"), false) // another connection waits for none of this
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		var at time.Duration = -1
		seq := 0
		for _, p := range a.received() {
			if p.id == "c2-0" {
				if p.at > 0 {
					t.Errorf("the other connection's event came at %v", p.at)
				}
				continue
			}
			equal(t, "request id", p.id, "c1-"+strconv.Itoa(seq))
			equal(t, "attempt", p.attempt, 1)
			if p.at < at+10*time.Millisecond && seq > 0 {
				t.Errorf("%s was sent before the one before it was answered", p.id)
			}
			at = p.at
			seq++
		}
		equal(t, "events", seq, 22)
		s := f.Stats()
		equal(t, "delivered", s.Delivered, [Actions]uint64{1, 21, 1})
		equal(t, "attempts", s.Attempts, 23)
		equal(t, "lanes, events, bytes", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})
	})
}

func TestAnEventIsRetriedWithBackoffForItsWindow(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 503} {
		bubble(t, Config{RetryFor: 20 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
				if p.id == "c1-0" {
					w.WriteHeader(status)
				}
			}
			f.Message(source(1, 0), []byte("1"), false)
			f.Message(source(1, 1), []byte("2"), false)
			equal(t, "left over", f.Drain(context.Background()), Leftover{})
			posts := a.received()
			var at time.Duration
			for i, p := range posts[:len(posts)-1] {
				equal(t, "request id", p.id, "c1-0")
				equal(t, "attempt", p.attempt, i+1)
				if gap := p.at - at; i > 0 && (gap < minBackoff || gap > maxBackoff) && p.at != 20*time.Second {
					t.Errorf("attempt %d came %v after the one before", i+1, gap)
				}
				at = p.at
			}
			equal(t, "the last attempt", at, 20*time.Second)
			equal(t, "then the next event", posts[len(posts)-1].id, "c1-1")
			if n := len(posts); n < 8 || n > 20 {
				t.Errorf("%d attempts in 20 s", n)
			}
			s := f.Stats()
			equal(t, "failed", s.Failed, [Actions]uint64{0, 1, 0})
			equal(t, "outcomes", s.Outcomes[Unavailable], uint64(len(posts)-1))
			equal(t, "log lines", log.count("\n"), 3) // it begins, goes on for 10 s and is over: the next event was taken
			for _, part := range []string{`"given_up":1`, `"last_request_id":"c1-0"`, `"last_action":"message"`, `"last_attempts":` + strconv.Itoa(len(posts)-1)} {
				equal(t, "log lines with "+part, log.count(part), 1)
			}
			equal(t, "log lines with the status", log.count("it answers "+strconv.Itoa(status)), 2)
			equal(t, "log lines about the end", log.count("takes events again"), 1)
		})
	}
}

func TestAnyOtherStatusFailsTheEventAtOnce(t *testing.T) {
	for _, status := range []int{301, 302, 307, 400, 401, 404, 413, 422} {
		bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
				if p.id == "c1-0" {
					w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
					w.WriteHeader(status)
				}
			}
			f.Open(source(1, 0), Request{})
			f.Message(source(1, 1), []byte("2"), false)
			equal(t, "left over", f.Drain(context.Background()), Leftover{})
			equal(t, "received", fmt.Sprint(a.ids()), "[c1-0 c1-1]")
			equal(t, "failed", f.Stats().Failed, [Actions]uint64{1, 0, 0})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			switch p.attempt {
			case 1:
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(503)
			case 2:
				w.Header().Set("Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(429)
			case 3:
				w.Header().Set("Retry-After", "3600") // beyond the window
				w.WriteHeader(503)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		f.Drain(context.Background())
		want := []time.Duration{0, 7 * time.Second, 27 * time.Second, 60 * time.Second}
		posts := a.received()
		if len(posts) != len(want) {
			t.Fatalf("%d attempts", len(posts))
		}
		for i, p := range posts {
			if late := p.at - want[i]; late < -time.Second || late > time.Second { // a date has no fractions
				t.Errorf("attempt %d at %v, want %v", i+1, p.at, want[i])
			}
		}
		equal(t, "the last attempt", posts[3].at, 60*time.Second)
	})
}

func TestHangingCallbacksTimeOutAndLeaveTheRestWorking(t *testing.T) {
	bubble(t, Config{Concurrency: 64}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(p.id, "c1") && p.attempt == 1 {
				<-r.Context().Done()
			}
		}
		for i := range 60 { // ids c100 to c159
			f.Message(source(100+i, 0), []byte("1"), false)
		}
		synctest.Wait()
		equal(t, "in flight", f.Stats().InFlight, 60)
		for i := range 1000 {
			f.Message(source(2000+i, 0), []byte("1"), false)
		}
		synctest.Wait()
		equal(t, "delivered meanwhile", f.Stats().Delivered[actionMessage], 1000)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		s := f.Stats()
		equal(t, "delivered", s.Delivered[actionMessage], 1060)
		equal(t, "timed out", s.Outcomes[TimedOut], 60)
		for _, p := range a.received() {
			if p.attempt == 2 && (p.at < 10*time.Second+minBackoff || p.at > 10*time.Second+2*minBackoff) {
				t.Errorf("the second attempt came at %v", p.at)
			}
		}
	})
}

func TestABackOfALaneHoldsNoWorkerAndABacklogStarvesNobody(t *testing.T) {
	bubble(t, Config{Concurrency: 1}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c1-0" && p.attempt == 1 {
				w.WriteHeader(500)
			}
			time.Sleep(time.Millisecond)
		}
		f.Message(source(1, 0), []byte("1"), false)
		for i := range 50 {
			f.Message(source(2, i), []byte("1"), false)
		}
		f.Message(source(3, 0), []byte("1"), false)
		f.Drain(context.Background())
		ids := a.ids()
		equal(t, "the first", fmt.Sprint(ids[:4]), "[c1-0 c2-0 c3-0 c2-1]")
		equal(t, "in all", len(ids), 53)
	})
}

func TestAConnectionThatTheAppClosedWhileIdleIsReplacedAtOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		for seq := range 3 {
			f.Message(source(1, seq), []byte("1"), false)
			time.Sleep(time.Second)
			a.http.SetKeepAlivesEnabled(false) // closes what is idle
			a.http.SetKeepAlivesEnabled(true)
			time.Sleep(time.Second)
		}
		s := f.Stats()
		equal(t, "delivered", s.Delivered[actionMessage], 3)
		equal(t, "connections", len(a.dials), 3)
		posts := a.received()
		for i, p := range posts {
			equal(t, "without back-off, at", p.at, time.Duration(2*i)*time.Second)
		}
		equal(t, "broken", s.Outcomes[Broken], 0)
		equal(t, "log", log.String(), "")
	})
}

func TestAnEventHasOneRetryWithoutBackoffInItsLife(t *testing.T) {
	bubble(t, Config{RetryFor: 3 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if p.id == "c1-1" {
				panic(http.ErrAbortHandler) // closes without an answer
			}
			time.Sleep(10 * time.Millisecond)
		}
		for key := range 8 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		time.Sleep(time.Second) // now there are eight connections that it could be told to be stale
		f.Message(source(1, 1), []byte("1"), false)
		f.Drain(context.Background())
		posts := a.received()[8:]
		equal(t, "the second attempt, at", posts[1].at, posts[0].at)
		for i, p := range posts[2:] {
			if p.at == posts[i+1].at {
				t.Errorf("attempt %d came without back-off", p.attempt)
			}
		}
		equal(t, "failed", f.Stats().Failed[actionMessage], 1)
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	bubble(t, Config{Concurrency: 8}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
		for key := range 8 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		open := func() int {
			synctest.Wait()
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.open
		}
		time.Sleep(time.Second)
		equal(t, "connections after eight at once", open(), 8)
		for seq := range 10 { // a light load
			f.Message(source(1, seq+1), []byte("1"), false)
			time.Sleep(time.Second)
		}
		equal(t, "connections under a light load", open(), 1)
		time.Sleep(idleTimeout)
		equal(t, "connections when idle", open(), 0)
		equal(t, "dialled", len(a.dials), 8)
	})
}
