package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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
		equal(t, "delivered", s.Delivered, [3]uint64{1, 21, 1})
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
			equal(t, "failed", s.Failed, [3]uint64{0, 1, 0})
			equal(t, "outcomes", s.Outcomes[Unavailable], uint64(len(posts)-1))
			equal(t, "log lines", log.count("\n"), 1)
			for _, part := range []string{`"request_id":"c1-0"`, `"action":"message"`, `"status":` + strconv.Itoa(status), `"attempts":` + strconv.Itoa(len(posts)-1)} {
				equal(t, "log lines with "+part, log.count(part), 1)
			}
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
			equal(t, "failed", f.Stats().Failed, [3]uint64{1, 0, 0})
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

func TestAConnectionThatIsLeftFromBeforeDoesNotHideAnOutage(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(time.Second)
		a.setDown(true) // takes no new connections, serves the one that it has
		f.Message(source(1, 1), []byte("1"), false)
		f.Message(source(2, 0), []byte("1"), false)
		time.Sleep(2 * time.Second)
		s := f.Stats()
		equal(t, "down", s.AppDown, true)
		equal(t, "delivered", s.Delivered[actionMessage], 2)
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	bubble(t, Config{Concurrency: 8}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
		for key := range 8 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		open := func() (n int) {
			synctest.Wait()
			for _, w := range f.workers {
				w.link.mu.Lock()
				if w.link.conn != nil {
					n++
				}
				w.link.mu.Unlock()
			}
			return n
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

func TestAnAppThatIsDownIsNotHammeredAndLosesNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.setDown(true)
		const lanes = 2000
		for key := range lanes {
			f.Open(source(key, 0), Request{})
			f.Message(source(key, 1), []byte("1"), false)
		}
		time.Sleep(50 * time.Second)
		a.mu.Lock()
		dials := slices.Clone(a.dials)
		a.mu.Unlock()
		// 64 may have been on their way when the first came back; then one
		// probe at a time: six while back-off grows, then one every 2.5 to 5 s.
		burst, probes := 0, 0
		for _, at := range dials {
			if at == 0 {
				burst++
			} else {
				probes++
			}
		}
		if burst > 64 || probes < 10 || probes > 30 {
			t.Errorf("%d attempts to connect at once, %d later", burst, probes)
		}
		for i := burst + 1; i < len(dials); i++ {
			if gap := dials[i] - dials[i-1]; gap < minBackoff {
				t.Errorf("probes only %v apart", gap)
			}
		}
		if s := f.Stats(); !s.AppDown || s.Outages != 1 || s.Lanes != lanes || s.Waiting != 0 || s.Oldest != 50*time.Second {
			t.Errorf("%+v", s)
		}
		equal(t, "unreachable lines", log.count("app unreachable at http://app/hook:"), 1)
		equal(t, "lines that say why", log.count("connection refused"), 1)
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		s := f.Stats()
		equal(t, "delivered", s.Delivered, [3]uint64{lanes, lanes, 0})
		equal(t, "down", s.AppDown, false)
		equal(t, "reachable lines", log.count("app reachable again after 5"), 1)
		equal(t, "log lines", log.count("\n"), 2)
		equal(t, "secrets in the log", log.count("secret"), 0)
	})
}

func TestAfterAnOutageTheAppMeetsARampNotAStampede(t *testing.T) {
	bubble(t, Config{Concurrency: 64}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) }
		a.setDown(true)
		for key := range 1000 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		time.Sleep(20 * time.Second)
		a.setDown(false)
		f.Drain(context.Background())
		inWave := map[time.Duration]int{}
		var order []time.Duration
		for _, p := range a.received() {
			if inWave[p.at] == 0 {
				order = append(order, p.at)
			}
			inWave[p.at]++
		}
		var waves []int
		for _, at := range order[:8] {
			waves = append(waves, inWave[at])
		}
		equal(t, "attempts at a time", fmt.Sprint(waves), "[1 2 4 8 16 32 64 64]")
	})
}

func TestWhileTheAppStaysDownEventsFailWhenTheirWindowEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	bubble(t, Config{RetryFor: 30 * time.Second, DeadLetter: file}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.setDown(true)
		for key := range 100 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		time.Sleep(20 * time.Second)
		f.Message(source(200, 0), []byte("1"), false)
		time.Sleep(9 * time.Second)
		equal(t, "failed before the window's end", f.Stats().Failed[actionMessage], 0)
		time.Sleep(2 * time.Second)
		equal(t, "failed after it", f.Stats().Failed[actionMessage], 100)
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		equal(t, "the later one", f.Stats().Delivered[actionMessage], 1)
		equal(t, "dead letters", f.Stats().DeadLetters, 100)
		equal(t, "lines", log.count(`"error":"app unreachable"`), loggedPerSecond)
		equal(t, "suppressed lines", log.count(`"suppressed":90`), 1)
	})
}

func TestTheAppThatComesBackJustInTimeLosesNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		for key := range 500 {
			f.Message(source(key, 0), []byte("1"), false)
		}
		time.Sleep(60*time.Second - time.Millisecond)
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 500)
	})
}

func TestDrainDeliversWhatWaitsWithinItsDeadline(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.attempt == 1 {
				w.Header().Set("Retry-After", "50")
				w.WriteHeader(503)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		equal(t, "waiting", f.Stats().Waiting, 1)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, 8*time.Second)), Leftover{})
		equal(t, "took", time.Since(start), 4*time.Second)
	})
}

func TestDrainCutsOffAtItsDeadlineAndKeepsWhatIsLeft(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	bubble(t, Config{DeadLetter: file}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.serve = func(p post, _ http.ResponseWriter, r *http.Request) {
			if p.id != "c3-0" {
				<-r.Context().Done()
			}
		}
		src := source(1, 0)
		src.Cookie = "sid=1"
		f.Open(src, Request{})
		f.Message(source(1, 1), []byte("{\n\"a\": 1\r\n}"), false)
		f.Message(source(2, 0), []byte("1"), true)
		f.Message(source(3, 0), []byte("1"), false)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, 3*time.Second)), Leftover{Events: 3, DeadLetters: 3})
		equal(t, "took", time.Since(start), 3*time.Second)
		equal(t, "again", f.Drain(context.Background()), Leftover{Events: 3, DeadLetters: 3})

		f.Close(source(1, 2), End{})
		if f.Message(source(1, 3), make([]byte, 2<<20), true) {
			t.Error("full after Drain: nobody would call Drained")
		}
		s := f.Stats()
		equal(t, "failed", s.Failed, [3]uint64{1, 3, 1})
		equal(t, "lanes, events, bytes", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})

		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		slices.SortFunc(lines, func(a, b string) int { // lanes come in any order
			return strings.Compare(a[strings.Index(a, "request_id"):], b[strings.Index(b, "request_id"):])
		})
		var ids []string
		for _, line := range lines {
			var letter struct {
				Time                  time.Time
				RequestID             string `json:"request_id"`
				Action, Error, Cookie string
				Attempts, Status      int
				Event                 json.RawMessage
			}
			if err := json.Unmarshal([]byte(line), &letter); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			ids = append(ids, letter.RequestID)
			equal(t, "error", letter.Error, "gateway stopped")
			if letter.RequestID == "c1-0" {
				equal(t, "cookie", letter.Cookie, "sid=1")
				equal(t, "attempts", letter.Attempts, 1)
			}
		}
		equal(t, "dead letters", fmt.Sprint(ids), "[c1-0 c1-1 c2-0]")
		if want := `"attempts":0,"error":"gateway stopped","event":{"data":{ "a": 1  },"action":"message","user_name":"alice","conn_id":"c1"}}`; !strings.HasSuffix(lines[1], want) {
			t.Errorf("got %s, want %s", lines[1], want)
		}
	})
}

func TestDrainCutsOffConnectingToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeApp(t)
		close(a.quit) // nobody accepts: connecting hangs
		f, err := New(Config{URL: "http://app/"})
		if err != nil {
			t.Fatal(err)
		}
		f.dial = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		f.Start()
		f.Message(source(1, 0), []byte("1"), false)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, time.Second)), Leftover{Events: 1})
		equal(t, "took", time.Since(start), time.Second)
	})
}

func TestDrainWithoutStartKeepsEverything(t *testing.T) {
	f, err := New(Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	f.Open(source(1, 0), Request{})
	equal(t, "left over", f.Drain(context.Background()), Leftover{Events: 1})
}

func TestDrainedIsCalledOnceForEachTimeALaneWasFull(t *testing.T) {
	drained := make(chan uint64, 100)
	cfg := Config{QueueEvents: 4, RetryFor: time.Second, Drained: func(key uint64) { drained <- key }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		var fail atomic.Bool
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			if fail.Load() {
				w.WriteHeader(400)
			}
		}
		for round := range 4 { // half of them are emptied by failures
			fail.Store(round%2 == 1)
			for i := range 4 {
				full := f.Message(source(1, i), []byte("1"), false)
				equal(t, fmt.Sprintf("full at %d", i), full, i == 3)
			}
			f.Close(source(1, 4), End{}) // has room
			synctest.Wait()
			equal(t, "drained too early", len(drained), 0)
			time.Sleep(2500 * time.Millisecond)
			equal(t, "drained at half and one", len(drained), 0)
			time.Sleep(time.Second)
			equal(t, "drained at half", len(drained), 1)
			equal(t, "key", take(t, drained), 1)
			time.Sleep(10 * time.Second)
			equal(t, "drained twice", len(drained), 0)
		}
	})
	equal(t, "drained after the end", len(drained), 0)
}

func TestPressureRisesOverTheLimitAndFallsAtHalf(t *testing.T) {
	calls := make(chan bool, 100)
	const limit = 64 << 10
	cfg := Config{Memory: limit, Pressure: func(on bool) { calls <- on }}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for range 3 {
			release := make(chan struct{})
			a.serve = func(post, http.ResponseWriter, *http.Request) { <-release }
			n := 0
			for ; f.Stats().Bytes <= limit; n++ {
				equal(t, "pressure below the limit", f.Stats().Pressure, false)
				f.Message(source(n, 0), make([]byte, 700), true)
				synctest.Wait()
			}
			equal(t, "calls", len(calls), 1)
			equal(t, "told", take(t, calls), true)
			equal(t, "pressure", f.Stats().Pressure, true)
			if n > limit/700 || n < limit/4000 {
				t.Errorf("%d events of 700 bytes make %d", n, limit)
			}
			for f.Stats().Bytes > limit/2 {
				equal(t, "calls over half", len(calls), 0)
				release <- struct{}{}
				synctest.Wait()
			}
			equal(t, "calls", len(calls), 1)
			equal(t, "told", take(t, calls), false)
			close(release)
			synctest.Wait()
			equal(t, "bytes in the end", f.Stats().Bytes, 0)
			equal(t, "calls in the end", len(calls), 0)
		}
	})
}
