package forward

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

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
		equal(t, "unreachable lines", log.count(`"message":"app unreachable at http://app/hook:`), 1)
		sums := log.count(`0s: app unreachable at http://app/hook:`)
		if sums != 4 && sums != 5 { // the fifth is due right now
			t.Errorf("%d lines sum up", sums)
		}
		if why := log.count("connection refused"); why < 5 || why > 6 {
			t.Errorf("%d lines say why", why)
		}
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		s := f.Stats()
		equal(t, "delivered", s.Delivered, [Actions]uint64{lanes, lanes, 0})
		equal(t, "down", s.AppDown, false)
		equal(t, "reachable lines", log.count("app reachable again after 5"), 1)
		if lines := log.count("\n"); lines < 1+4+1 || lines > 1+5+2 {
			t.Errorf("%d log lines", lines)
		}
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
		equal(t, "lines of events", log.count(`"error":"app unreachable"`), 0)
		equal(t, "lines that sum up", log.count(`for 10s: app unreachable`)+log.count(`for 20s: app unreachable`)+log.count(`for 30s: app unreachable`), 3)
		equal(t, "lines that say how many were lost", log.count(`"given_up":100`) > 0, true)
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
