package forward

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// chaos is an app that misbehaves at random and keeps account of what it did.
type chaos struct {
	mu       sync.Mutex
	random   *rand.Rand
	hang     time.Duration
	late     bool              // an answer may come too late: clear to the app, unknown to the gateway
	settled  map[string]string // request id → "ok" or "refused": what the gateway must have understood
	last     map[string]int    // connection id → the last seq seen
	attempts map[string]int    // request id → the last attempt seen
	came     map[string]bool   // attempts
	wrong    []string
}

func newChaos(seed uint64, hang time.Duration) *chaos {
	return &chaos{
		random: rand.New(rand.NewPCG(seed, seed)), hang: hang,
		settled: map[string]string{}, last: map[string]int{}, attempts: map[string]int{}, came: map[string]bool{},
	}
}

// observe checks a POST against what was seen before, and rolls the dice.
func (c *chaos) observe(p post) (fault int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn, number, _ := strings.Cut(p.id, "-")
	seq, _ := strconv.Atoi(number)
	last, seen := c.last[conn]
	attempt := fmt.Sprintf("%s, attempt %d", p.id, p.attempt)
	if c.came[attempt] {
		c.wrong = append(c.wrong, attempt+" came twice")
	}
	c.came[attempt] = true
	// On real sockets an attempt that was given up may be read after the one that
	// followed it: the app is late, not the gateway.
	stale := c.late && p.attempt < c.attempts[p.id]
	switch {
	case stale:
	case !seen && seq != 0, seen && seq != last && seq != last+1:
		c.wrong = append(c.wrong, fmt.Sprintf("%s after %d", p.id, last))
	case seen && seq == last+1 && c.settled[fmt.Sprintf("%s-%d", conn, last)] == "":
		c.wrong = append(c.wrong, p.id+" before the one before it was settled")
	case !c.late && (c.settled[p.id] == "ok, understood" || c.settled[p.id] == "refused"):
		c.wrong = append(c.wrong, p.id+" again, although the answer was clear")
	}
	if p.attempt <= c.attempts[p.id] && !stale {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: attempt %d after %d", p.id, p.attempt, c.attempts[p.id]))
	}
	if want := `"data":` + number + `,"action":"message"`; !strings.Contains(p.body, want) || p.cookie != "of="+conn {
		c.wrong = append(c.wrong, fmt.Sprintf("%s carries cookie %q and %s", p.id, p.cookie, p.body))
	}
	if !stale {
		c.last[conn], c.attempts[p.id] = seq, p.attempt
	}
	return c.random.IntN(60)
}

// settle notes that p's answer, once it arrives, ends the matter. Where it may
// not arrive the app has acted nevertheless, and may see p again.
func (c *chaos) settle(p post, how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled[p.id] = how
}

func (c *chaos) serve(p post, w http.ResponseWriter, r *http.Request) {
	raw := func(answer string) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = buffered.WriteString(answer)
		_ = buffered.Flush()
		if tcp, ok := conn.(*net.TCPConn); ok && len(answer) == 0 {
			_ = tcp.SetLinger(0) // a reset
		}
		_ = conn.Close()
	}
	switch c.observe(p) {
	case 0, 1:
		raw("")
	case 2:
		raw("HTTP/1.1 2")
	case 3:
		raw("no HTTP at all\r\n\r\n")
	case 4, 5:
		w.WriteHeader(503)
	case 6:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(429)
	case 7:
		w.WriteHeader(500)
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	case 8:
		select {
		case <-time.After(c.hang):
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case 9:
		c.settle(p, "ok") // acts, and is cut off before it can say so
		raw("")
	case 10:
		c.settle(p, "refused")
		w.WriteHeader(400)
	case 11:
		c.settle(p, "refused")
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	case 12:
		c.settle(p, "ok, understood")
		raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
	case 13:
		c.settle(p, "ok, understood")
		raw("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n")
	case 14:
		c.settle(p, "ok, understood")
		w.Header().Set("Connection", "close")
	case 15:
		c.settle(p, "ok, understood")
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	case 16:
		c.settle(p, "ok, understood")
		w.WriteHeader(http.StatusEarlyHints)
		time.Sleep(c.hang / 20)
	default:
		c.settle(p, "ok, understood")
		_, _ = io.WriteString(w, `{"code":0}`)
	}
}

// gates let a producer wait until its lane is drained.
type gates []chan struct{}

func (g gates) open(key uint64) { g[key] <- struct{}{} } // has one place; a second Drained would block for ever

// produce sends events of one connection, stopping while its lane is full.
func (g gates) produce(f *Forwarder, key, events int) {
	for seq := range events {
		src := source(key, seq)
		src.Headers = "of=c" + strconv.Itoa(key)
		if f.Message(src, strconv.AppendInt(nil, int64(seq), 10), false) {
			<-g[key]
		}
	}
}

// verify holds the app's account against the forwarder's.
func (c *chaos) verify(t *testing.T, f *Forwarder, lanes, events int, deadLetters string) {
	t.Helper()
	for _, w := range c.wrong {
		t.Error(w)
	}
	letters, err := os.ReadFile(deadLetters)
	if err != nil {
		t.Fatal(err)
	}
	refused := uint64(0)
	for key := range lanes {
		for seq := range events {
			id := fmt.Sprintf("c%d-%d", key, seq)
			want := 0
			switch c.settled[id] {
			case "":
				t.Errorf("%s was lost", id)
			case "refused":
				refused++
				want = 1
			}
			if n := strings.Count(string(letters), `"request_id":"`+id+`"`); n != want {
				t.Errorf("%s is in the dead-letter file %d times, want %d", id, n, want)
			}
		}
	}
	s := f.Stats()
	equal(t, "failed", s.Failed[actionMessage], refused)
	equal(t, "delivered", s.Delivered[actionMessage], uint64(lanes*events)-refused)
	equal(t, "what is left", [4]int64{s.Lanes, s.Events, s.Bytes, s.InFlight}, [4]int64{})
}

func TestChaosLosesReordersAndForgetsNothing(t *testing.T) {
	for seed, pipeline := range [...]int{1, 1, 8} {
		seed := uint64(seed)
		file := filepath.Join(t.TempDir(), strconv.FormatUint(seed, 10))
		const lanes, events = 100, 25
		g := make(gates, lanes)
		cfg := Config{
			Concurrency: 16 / pipeline, QueueEvents: 5, RetryFor: 24 * time.Hour, DeadLetter: file, Drained: g.open,
			Pipeline: pipeline,
		}
		bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			c := newChaos(seed, time.Minute)
			a.serve = c.serve
			var producers sync.WaitGroup
			for key := range lanes {
				g[key] = make(chan struct{}, 1)
				producers.Go(func() { g.produce(f, key, events) })
			}
			stop := make(chan struct{})
			var outages sync.WaitGroup
			outages.Go(func() { // it goes away every now and then
				random := rand.New(rand.NewPCG(seed, 1))
				for down := false; ; down = !down {
					a.setDown(down)
					if down { // connections that are open go too
						a.http.SetKeepAlivesEnabled(false)
						a.http.SetKeepAlivesEnabled(true)
					}
					select {
					case <-time.After(time.Duration(random.IntN(8000)) * time.Millisecond):
					case <-stop:
						a.setDown(false)
						return
					}
				}
			})
			producers.Wait()
			close(stop)
			outages.Wait()
			equal(t, "left over", f.Drain(context.Background()), Leftover{})
			synctest.Wait()
			c.verify(t, f, lanes, events, file)
			if f.Stats().Outages == 0 {
				t.Error("the app never went away")
			}
			if n := f.Stats().Pipelined; (n > 0) != (pipeline > 1) {
				t.Errorf("%d events were pipelined", n)
			}
		})
		if t.Failed() {
			t.Fatalf("with seed %d, pipeline %d", seed, pipeline)
		}
	}
}

func TestChaosOnRealSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	t.Run("one by one", func(t *testing.T) { t.Parallel(); chaosOnRealSockets(t, 1) })
	t.Run("pipelined", func(t *testing.T) { t.Parallel(); chaosOnRealSockets(t, 16) })
}

func chaosOnRealSockets(t *testing.T, pipeline int) {
	seed := rand.Uint64()
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	const lanes, events = 64, 12
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newChaos(seed, 700*time.Millisecond)
	c.late = true
	a := &fakeApp{epoch: time.Now(), serve: c.serve}
	a.http.Handler = a
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = a.http.Serve(ln)
	}()
	g := make(gates, lanes)
	f, err := New(Config{
		URL: "http://" + ln.Addr().String() + "/hook", Concurrency: 32 / pipeline, QueueEvents: 3, Pipeline: pipeline,
		Timeout: 500 * time.Millisecond, DeadLetter: file, Drained: g.open,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	var producers sync.WaitGroup
	for key := range lanes {
		g[key] = make(chan struct{}, 1)
		producers.Go(func() { g.produce(f, key, events) })
	}
	producers.Wait()
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
	_ = a.http.Close()
	<-served
	c.verify(t, f, lanes, events, file)
	if t.Failed() {
		t.Logf("with seed %d", seed)
	}
}
