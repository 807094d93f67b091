package forward

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lanes returns the lanes of j, by key.
func (j job) lanes() (keys []uint64) {
	for l := j.lane; l != nil; l = l.next {
		keys = append(keys, l.key)
	}
	return keys
}

func pipelineScheduler(workers, most int, lanes []*lane) *scheduler {
	s := testScheduler(workers)
	s.pipeline(most, 0)
	for _, l := range lanes {
		s.add(l, 0)
	}
	return s
}

// nextPipeline takes the next job that may be a pipeline; none: there is none.
func (s *scheduler) nextPipeline(now time.Duration) (keys []uint64) {
	j, ok := s.next(now)
	if !ok {
		return nil
	}
	s.chain(j)
	return j.lanes()
}

func TestAPipelineIsAWorkersShareOfTheReadyLanes(t *testing.T) {
	for lanes, want := range map[int]int{1: 1, 2: 1, 3: 2, 5: 3, 7: 4, 100: 4} { // 2 workers, 4 lanes at most
		s := pipelineScheduler(2, 4, testLanes(lanes))
		got := s.nextPipeline(0)
		if len(got) != want || got[0] != 0 || got[len(got)-1] != uint64(want-1) {
			t.Errorf("of %d lanes: %v, want the first %d", lanes, got, want)
		}
		next := uint64(want) // the others come in their turn, as many as the workers have places for
		for more := s.nextPipeline(0); more != nil; more = s.nextPipeline(0) {
			for _, key := range more {
				equal(t, "next lane", key, next)
				next++
			}
		}
		equal(t, "in flight", int(next), min(lanes, 8))
	}
}

func TestAPipelinesBytesAreBounded(t *testing.T) {
	lanes := testLanes(8)
	pool := eventPool{levels: MaxJSONDepth}
	for _, l := range lanes {
		l.head = pool.message(&alice, make([]byte, 15<<10), true) // 20 KiB
	}
	equal(t, "lanes of 20 KiB", len(pipelineScheduler(1, 8, lanes).nextPipeline(0)), 3)
}

func TestAPipelineKeepsToTheRampAfterAnOutage(t *testing.T) {
	lanes := testLanes(9)
	s := pipelineScheduler(2, 4, lanes[8:])
	equal(t, "lanes", len(s.nextPipeline(0)), 1)
	s.ended(jobAttempt, Unreachable, 0, 0)
	s.add(lanes[8], 0)
	s.expect(t, 100*ms, lanes[8], jobProbe)
	s.ended(jobProbe, Delivered, 100*ms, 100*ms)
	for _, l := range lanes[:8] {
		s.add(l, 100*ms)
	}
	equal(t, "lanes", len(s.nextPipeline(100*ms)), 2)
	if more := s.nextPipeline(100 * ms); more != nil {
		t.Errorf("%v: more than the ramp allows", more)
	}
}

func TestProbesAndAuthorizationsAreNoPipelines(t *testing.T) {
	lanes := testLanes(4)
	s := pipelineScheduler(1, 4, lanes[1:])
	j := job{lane: lanes[0], kind: jobProbe}
	s.chain(j)
	equal(t, "lanes of a probe", len(j.lanes()), 1)
	lanes[0].auth = &authorization{}
	j.kind = jobAttempt
	s.chain(j)
	equal(t, "lanes of an authorization", len(j.lanes()), 1)
}

// pipelineApp reads all requests that there are before it answers the first.
type pipelineApp struct {
	t       *testing.T
	answers func(conn int, ids []string) (answer string, more bool)

	mu  sync.Mutex
	ids [][]string // of each burst
}

func (a *pipelineApp) serve(ln net.Listener) {
	for n := 0; ; n++ {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go a.connection(n, conn)
	}
}

func (a *pipelineApp) connection(n int, conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var ids []string
		for len(ids) == 0 || in.Buffered() > 0 {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			ids = append(ids, r.Header.Get("X-Request-Id")+"/"+r.Header.Get("X-Attempt"))
		}
		a.mu.Lock()
		a.ids = append(a.ids, ids)
		a.mu.Unlock()
		answer, more := a.answers(n, ids)
		if _, err := io.WriteString(conn, answer); err != nil || !more {
			return
		}
	}
}

const testTimeout = 20 * time.Second // never reached

const accepted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// pipelined delivers an event for each of so many connections with one worker,
// which the first of them keeps busy until all are there, and returns the bursts
// in which the app saw them.
func pipelined(t *testing.T, events int, timeout time.Duration, answers func(conn int, ids []string) (string, bool)) (bursts []string, s Stats) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	busy := make(chan struct{})
	complete, all := context.WithCancel(t.Context())
	a := &pipelineApp{t: t, answers: func(conn int, ids []string) (string, bool) {
		if ids[0] == "c0-0/1" {
			close(busy)
			<-complete.Done()
			return accepted, true
		}
		return answers(conn, ids)
	}}
	go a.serve(ln)
	f, err := New(Config{URL: "http://" + ln.Addr().String() + "/", Concurrency: 1, Pipeline: 8, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	f.Message(source(0, 0), []byte(`1`), false)
	<-busy
	for key := range events {
		f.Message(source(key+1, 0), []byte(`1`), false)
	}
	all()
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ids := range a.ids[1:] {
		bursts = append(bursts, strings.Join(ids, " "))
	}
	return bursts, f.Stats()
}

func TestAPipelineIsOneBurstAndItsAnswersAreTakenInTurn(t *testing.T) {
	bursts, s := pipelined(t, 4, testTimeout, func(_ int, ids []string) (string, bool) {
		return strings.Repeat(accepted, len(ids)), true
	})
	if want := []string{"c1-0/1 c2-0/1 c3-0/1 c4-0/1"}; !slices.Equal(bursts, want) {
		t.Errorf("the app saw %q, want %q", bursts, want)
	}
	equal(t, "delivered", s.Delivered, [Actions]uint64{0, 5, 0})
	equal(t, "attempts", s.Attempts, 5)
	equal(t, "pipelined", s.Pipelined, 3)
}

func TestEachEventOfAPipelineGetsItsOwnAnswer(t *testing.T) {
	bursts, s := pipelined(t, 3, testTimeout, func(_ int, ids []string) (string, bool) {
		if len(ids) == 1 {
			return accepted, true
		}
		return accepted + "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" + "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", true
	})
	if want := []string{"c1-0/1 c2-0/1 c3-0/1", "c2-0/2"}; !slices.Equal(bursts, want) {
		t.Errorf("the app saw %q, want %q", bursts, want)
	}
	equal(t, "delivered", s.Delivered[actionMessage], 3)
	equal(t, "failed", s.Failed[actionMessage], 1)
}

func TestWhatStandsBehindAnAnswerThatEndsTheConnectionIsSentAgainOneByOne(t *testing.T) {
	bursts, s := pipelined(t, 3, testTimeout, func(_ int, ids []string) (string, bool) {
		if len(ids) > 1 {
			return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false
		}
		return accepted, true
	})
	if want := []string{"c1-0/1 c2-0/1 c3-0/1", "c2-0/2", "c3-0/2"}; !slices.Equal(bursts, want) {
		t.Errorf("the app saw %q, want %q", bursts, want)
	}
	equal(t, "delivered", s.Delivered[actionMessage], 4)
	equal(t, "retries", s.Retries, 2)
}

func TestAHangingCallFailsAloneInItsPipeline(t *testing.T) {
	bursts, s := pipelined(t, 3, time.Second, func(_ int, ids []string) (string, bool) {
		if len(ids) > 1 {
			<-t.Context().Done()
			return "", false
		}
		return accepted, true
	})
	// The first has had its time and waits for its back-off; the others go on.
	if want := []string{"c1-0/1 c2-0/1 c3-0/1", "c2-0/2", "c3-0/2", "c1-0/2"}; !slices.Equal(bursts, want) {
		t.Errorf("the app saw %q, want %q", bursts, want)
	}
	equal(t, "timeouts", s.Outcomes[TimedOut], 1)
	equal(t, "delivered", s.Delivered[actionMessage], 4)
}

func TestAPipelineThatCannotBeSentWaitsForTheAppLikeAnyEvent(t *testing.T) {
	bubble(t, Config{Concurrency: 1, Pipeline: 4}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		released, release := context.WithCancel(t.Context())
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c0-0" {
				<-released.Done()
				w.Header().Set("Connection", "close")
			}
		}
		for key := range 4 {
			f.Message(source(key, 0), []byte(`1`), false)
		}
		synctest.Wait()
		a.setDown(true)
		release()
		time.Sleep(time.Second)
		equal(t, "outages", f.Stats().Outages, 1)
		a.setDown(false)
		time.Sleep(10 * time.Second)
		var attempts []string
		for _, p := range a.received() {
			attempts = append(attempts, p.id)
		}
		slices.Sort(attempts)
		if want := []string{"c0-0", "c1-0", "c2-0", "c3-0"}; !slices.Equal(attempts, want) {
			t.Errorf("the app saw %q, want %q", attempts, want)
		}
	})
}

func TestPipelinesExcludeWhatNeedsAnAnswerToItself(t *testing.T) {
	for name, cfg := range map[string]Config{
		"batches":       {Pipeline: 2, Batch: 2},
		"replies":       {Pipeline: 2, Reply: func(uint64, Reply) {}},
		"groups":        {Pipeline: 2, Regroup: func(uint64, []string, []string) {}},
		"authorization": {Pipeline: 2, Settles: true},
		"too many":      {Pipeline: maxPipeline + 1},
	} {
		cfg.URL = "http://127.0.0.1:1/"
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "pipeline") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
