package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ws-gateway/forward/headers"
)

// ids are the request ids of a batch's events, in its order.
func (p post) ids(t *testing.T) (ids []string) {
	t.Helper()
	var elements []struct {
		ID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(p.body), &elements); err != nil {
		t.Fatalf("%v: %s", err, p.body)
	}
	for _, e := range elements {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestABatchIsAnArrayOfEventsWithTheirIDsAndCookies(t *testing.T) {
	bubble(t, Config{Batch: 3, Linger: time.Hour}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		src := source(1, 0)
		src.Headers = `sid="1"`
		f.Open(src, Request{URI: "/ws"})
		src.Seq, src.Headers = 1, headers.Pack("", []headers.Field{{Name: "X-Tenant", Value: "blue"}, {Name: "X-B", Value: "\"c\""}})
		f.Message(src, []byte(`{"a": 1}`), false)
		synctest.Wait()
		f.Message(source(2, 7), []byte("hé"), false)
		synctest.Wait()
		posts := a.received()
		equal(t, "posts", len(posts), 1)
		equal(t, "id", posts[0].id, "c1-0")
		equal(t, "cookie", posts[0].cookie, "")
		equal(t, "body", posts[0].body, `[{"data":{},"action":"open","user_name":"alice","conn_id":"c1","request":{"uri":"/ws","remote_addr":"","user_agent":"","origin":""},"request_id":"c1-0","cookie":"sid=\"1\""},`+
			`{"data":"hé","action":"message","user_name":"alice","conn_id":"c2","encoding":"text","request_id":"c2-7"},`+
			`{"data":{"a": 1},"action":"message","user_name":"alice","conn_id":"c1","request_id":"c1-1","headers":{"X-Tenant":"blue","X-B":"\"c\""}}]`)
		equal(t, "delivered", f.Stats().Delivered, [Actions]uint64{1, 2, 0})
	})
}

func TestABatchLingersFromItsFirstEventUnlessItIsFull(t *testing.T) {
	bubble(t, Config{Batch: 4, Linger: 5 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		sent := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, p := range a.received() {
				got = append(got, fmt.Sprintf("%v %v", p.at, strings.Join(p.ids(t), ",")))
			}
			if !slices.Equal(got, want) {
				t.Errorf("sent %q, want %q", got, want)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(4 * time.Second)
		f.Message(source(2, 0), []byte("1"), false)
		sent()
		time.Sleep(time.Second)
		sent("5s c1-0,c2-0")
		for seq := range 5 { // one connection alone fills one, and one is left
			f.Message(source(3, seq), []byte("1"), false)
			synctest.Wait()
		}
		sent("5s c1-0,c2-0", "5s c3-0,c3-1,c3-2,c3-3")
		time.Sleep(5 * time.Second)
		sent("5s c1-0,c2-0", "5s c3-0,c3-1,c3-2,c3-3", "10s c3-4")
		for key := range 6 {
			f.Message(source(4+key, 0), []byte("1"), false)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		f.Message(source(4, 1), []byte("1"), false)
		f.Message(source(4, 2), []byte("1"), false) // with the two that are left
		sent("5s c1-0,c2-0", "5s c3-0,c3-1,c3-2,c3-3", "10s c3-4", "10s c4-0,c5-0,c6-0,c7-0", "11s c8-0,c9-0,c4-1,c4-2")
	})
}

func TestABatchIsFairToLanesAndBounded(t *testing.T) {
	bubble(t, Config{Batch: 8, Linger: time.Hour, Concurrency: 1}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }
		for seq := range 8 {
			f.Message(source(1, seq), []byte("1"), false)
		}
		synctest.Wait() // the worker is busy with these
		for seq := 8; seq < 256; seq++ {
			f.Message(source(1, seq), []byte("1"), false)
		}
		for key := 2; key < 7; key++ {
			f.Message(source(key, 0), []byte("1"), false)
		}
		time.Sleep(1500 * time.Millisecond)
		posts := a.received()
		equal(t, "the second batch", strings.Join(posts[1].ids(t), " "), "c2-0 c3-0 c4-0 c5-0 c6-0 c1-8 c1-9 c1-10")
		f.Drain(context.Background())
	})
	bubble(t, Config{Batch: 100, Linger: 5 * time.Millisecond}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for key := range 10 {
			f.Message(source(key, 0), make([]byte, 300_000), true)
			f.Message(source(key, 1), []byte("1"), false)
		}
		f.Message(source(99, 0), make([]byte, 2<<20), true)
		time.Sleep(time.Second)
		total := 0
		for _, p := range a.received() {
			ids := p.ids(t)
			total += len(ids)
			if len(p.body) > maxBatchBytes && len(ids) > 1 {
				t.Errorf("%d events make %d bytes", len(ids), len(p.body))
			}
		}
		equal(t, "events", total, 21)
		equal(t, "bytes held", f.Stats().Bytes, 0)
	})
}

func TestAFailedBatchIsTriedAgainWholeAndHoldsUpNobodyElse(t *testing.T) {
	bubble(t, Config{Batch: 3, Linger: time.Millisecond}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.id == "c1-0" && p.attempt < 3 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(503)
			}
		}
		for key := 1; key <= 3; key++ {
			f.Message(source(key, 0), []byte("1"), false)
		}
		synctest.Wait()
		f.Message(source(2, 1), []byte("2"), false) // waits for its connection's first
		f.Message(source(9, 0), []byte("1"), false) // waits for nobody
		time.Sleep(10 * time.Second)
		var first []post
		for _, p := range a.received() {
			switch p.id {
			case "c1-0":
				first = append(first, p)
			case "c9-0":
				if p.at > 10*time.Millisecond {
					t.Errorf("the other connection's event came at %v", p.at)
				}
			case "c2-1":
				if len(first) != 3 {
					t.Errorf("c2-1 came after %d attempts at the one before", len(first))
				}
			}
		}
		for i, p := range first {
			equal(t, "attempt", p.attempt, i+1)
			equal(t, "body", p.body, first[0].body)
		}
		equal(t, "attempts", len(first), 3)
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 5)
	})
}

func TestABatchThatFailsForGoodBecomesDeadLettersOneByOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	bubble(t, Config{Batch: 3, Linger: time.Millisecond, DeadLetter: file}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			switch p.attempt {
			case 1:
				w.WriteHeader(503)
			default:
				w.WriteHeader(400)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		f.Message(source(1, 1), []byte("2"), false)
		f.Message(source(2, 0), []byte("3"), false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
	})
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "letters", strings.Count(string(raw), `"status":400`), 3)
	for _, id := range []string{"c1-0", "c1-1", "c2-0"} {
		equal(t, id, strings.Count(string(raw), `"request_id":"`+id+`"`), 1)
	}
}

func TestBatchesLoseAndReorderNothingThroughOutages(t *testing.T) {
	const lanes, events = 200, 20
	g := make(gates, lanes)
	cfg := Config{Batch: 16, Linger: 20 * time.Millisecond, Concurrency: 8, QueueEvents: 5, RetryFor: 24 * time.Hour, Drained: g.open}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		next := map[string]int{}
		var random = newChaos(1, 0)
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			random.mu.Lock()
			defer random.mu.Unlock()
			fault := random.random.IntN(10)
			for _, id := range p.ids(t) {
				conn, number, _ := strings.Cut(id, "-")
				if seq, _ := strconv.Atoi(number); seq != next[conn] {
					t.Errorf("%s came where %d was due", id, next[conn])
				} else if fault > 2 {
					next[conn]++
				} else {
					break // all or nothing
				}
			}
			switch fault {
			case 0:
				w.WriteHeader(500)
			case 1:
				panic(http.ErrAbortHandler)
			case 2:
				w.WriteHeader(429)
			}
		}
		stop := make(chan struct{})
		outages := make(chan struct{})
		go func() {
			defer close(outages)
			for down := true; ; down = !down {
				a.setDown(down)
				select {
				case <-time.After(3 * time.Second):
				case <-stop:
					a.setDown(false)
					return
				}
			}
		}()
		done := make(chan struct{})
		for key := range lanes {
			g[key] = make(chan struct{}, 1)
			go func() { g.produce(f, key, events); done <- struct{}{} }()
		}
		for range lanes {
			<-done
		}
		close(stop)
		<-outages
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		for key := range lanes {
			equal(t, "events of a connection", next["c"+strconv.Itoa(key)], events)
		}
		s := f.Stats()
		equal(t, "delivered", s.Delivered[actionMessage], lanes*events)
		equal(t, "what is left", [4]int64{s.Lanes, s.Events, s.Bytes, f.lanes.available.Load()}, [4]int64{})
		equal(t, "claims left", f.pool.sched.claimed, 0)
		if s.Attempts > lanes*events/2 {
			t.Errorf("%d attempts for %d events", s.Attempts, lanes*events)
		}
	})
}

func TestAnOutageFailsNoEventOfABatchBeforeItsTime(t *testing.T) {
	bubble(t, Config{Batch: 10, Linger: 5 * time.Millisecond, RetryFor: 20 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		for key := range 30 {
			f.Message(source(key, 0), []byte("1"), false)
			time.Sleep(time.Second)
		}
		time.Sleep(10500 * time.Millisecond) // the youngest has waited for 11.5 s
		a.setDown(false)
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		s := f.Stats()
		if n := s.Failed[actionMessage]; n < 10 || n > 22 {
			t.Errorf("%d failed, want those that waited for over 20 s", n)
		}
		equal(t, "all", s.Failed[actionMessage]+s.Delivered[actionMessage], 30)
	})
}

func TestABatchThatIsNotToLingerGoesAtOnce(t *testing.T) {
	bubble(t, Config{Batch: 10}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		equal(t, "posts", len(a.received()), 1)
		equal(t, "sent after", a.received()[0].at, 0)
	})
}

func TestDrainDoesNotLinger(t *testing.T) {
	bubble(t, Config{Batch: 10, Linger: time.Hour}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		start := f.now()
		equal(t, "left over", f.Drain(context.Background()), Leftover{})
		equal(t, "took", f.now()-start, 0)
	})
}

func TestBatchesAndRepliesExcludeEachOther(t *testing.T) {
	for _, c := range []Config{{Batch: -1}, {Batch: maxBatch + 1}, {Batch: 2, Reply: func(uint64, Reply) {}}} {
		c.URL = "http://a/"
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func FuzzAnElementIsTheEventAndMore(f *testing.F) {
	f.Add([]byte(`{"a":1}`), false, "a=b", "v")
	f.Fuzz(func(t *testing.T, data []byte, binary bool, cookie, value string) {
		src := alice
		src.Headers = headers.Pack(cookie, []headers.Field{{Name: "X-A", Value: value}})
		pool := eventPool{levels: MaxJSONDepth}
		e := pool.message(&src, data, binary)
		b := batch{tried: []*event{e, e}}
		var elements []struct {
			Data    json.RawMessage
			ID      string `json:"request_id"`
			Headers map[string]string
		}
		if err := json.Unmarshal(b.appendBody(nil), &elements); err != nil || len(elements) != 2 || elements[1].ID != "c1-42" || len(elements[0].Headers) != 1 {
			t.Errorf("%v: %s", err, b.appendBody(nil))
		}
	})
}
