package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// pushServer is a gateway of sorts, on a WebSocket implementation that is not
// ours. Connections are named by the header that member sets.
type pushServer struct {
	addr    netip.AddrPort
	deliver func(send func(to string, payload []byte), to, all []string, payload []byte)
	answer  string

	mu    sync.Mutex
	conns map[string]*websocket.Conn // guarded by mu
	calls int                        // guarded by mu
}

func named(dst []byte, conn int) []byte { return fmt.Appendf(dst, "X-Member: %d\r\n", conn) }

func servePush(t *testing.T, answer string, deliver func(send func(to string, payload []byte), to, all []string, payload []byte)) *pushServer {
	t.Helper()
	s := &pushServer{deliver: deliver, answer: answer, conns: make(map[string]*websocket.Conn)}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Member")
		s.mu.Lock() // the client knows of the connection when it is listed here, or waits for the lock
		c, err := websocket.Accept(w, r, nil)
		s.conns[name] = c
		s.mu.Unlock()
		if err == nil {
			_, _, _ = c.Read(r.Context()) // until the client is gone
			_ = c.CloseNow()
		}
	})
	mux.HandleFunc("/tapr/ws/conn/send", s.send)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.addr = netip.MustParseAddrPort(server.Listener.Addr().String())
	return s
}

func (s *pushServer) send(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Payload json.RawMessage
		Users   []string
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	var all []string
	for name := range s.conns {
		all = append(all, name)
	}
	s.deliver(func(to string, payload []byte) {
		_ = s.conns[to].Write(r.Context(), websocket.MessageText, payload)
	}, call.Users, all, call.Payload)
	_, _ = io.WriteString(w, s.answer)
}

const accepted = `{"code":0,"message":"success"}`

// rightly delivers to whom the call names.
func rightly(send func(to string, payload []byte), to, _ []string, payload []byte) {
	for _, name := range to {
		send(name, payload)
	}
}

// groupsOf makes groups of size connections each, of n.
func groupsOf(size, n int) []Group {
	var groups []Group
	for first := 0; first+size <= n; first += size {
		names := make([]string, size)
		for i := range names {
			names[i] = fmt.Sprintf("%q", fmt.Sprint(first+i))
		}
		groups = append(groups, Group{To: `"users":[` + strings.Join(names, ",") + `]`, First: first, Count: size})
	}
	return groups
}

func startPush(t *testing.T, c *Client, calls Calls) *Push {
	t.Helper()
	p, err := c.Push(calls)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryCallIsDeliveredToItsWholeGroup(t *testing.T) {
	for name, c := range map[string]struct {
		size, callers, bytes int
		rate                 float64
	}{
		"one connection":        {size: 1, callers: 3, bytes: 64},
		"groups":                {size: 4, callers: 2, bytes: 64},
		"all":                   {size: 12, callers: 1, bytes: 64},
		"more callers than one": {size: 12, callers: 4, bytes: 64},
		"large":                 {size: 6, callers: 2, bytes: 100 << 10},
		"open loop":             {size: 1, callers: 12, bytes: 64, rate: 2_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := servePush(t, accepted, rightly)
			client := connect(t, Config{Target: s.addr, Header: named}, 12)
			for range 2 { // one after the other on the same connections
				s.mu.Lock()
				before := s.calls
				s.mu.Unlock()
				p := startPush(t, client, Calls{
					API: s.addr, Message: event(t, c.bytes), Groups: groupsOf(c.size, 12), Callers: c.callers, Rate: c.rate, Limit: 30,
				})
				<-p.Done()
				r := p.End()
				s.mu.Lock()
				calls := s.calls - before
				s.mu.Unlock()
				if r.Failures != 0 || calls != 30 || r.Calls != 30 || r.Messages != uint64(30*c.size) {
					t.Fatalf("%d calls, %d seen by the server, %d deliveries, failures %q", r.Calls, calls, r.Messages, r.Details)
				}
				if r.Answer.TotalCount() != 30 || r.Last.TotalCount() != 30 || r.Latency.TotalCount() != int64(30*c.size) || r.Last.Max() < r.Latency.Max() {
					t.Errorf("recorded: %d answers, %d last deliveries, %d deliveries", r.Answer.TotalCount(), r.Last.TotalCount(), r.Latency.TotalCount())
				}
			}
			if err := client.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPushWithoutLimitGoesOnUntilItsEnd(t *testing.T) {
	s := servePush(t, accepted, rightly)
	client := connect(t, Config{Target: s.addr, Header: named}, 4)
	p := startPush(t, client, Calls{API: s.addr, Message: event(t, 64), Groups: groupsOf(2, 4), Callers: 2})
	until(t, client, 20)
	p.Begin()
	until(t, client, replies(client)+50)
	if r := p.End(); r.Failures != 0 || r.Calls < 20 || r.Messages < 50 || r.Latency.TotalCount() < 50 {
		t.Errorf("%d calls, %d deliveries, failures %q", r.Calls, r.Messages, r.Details)
	}
}

// A call waits for a free caller; the open loop counts that.
func TestACallOfTheOpenLoopIsTimedFromItsDueTime(t *testing.T) {
	const held = 50
	var mu sync.Mutex
	begun := make(chan struct{})
	released, release := context.WithCancel(t.Context())
	first := true
	s := servePush(t, accepted, func(send func(string, []byte), to, all []string, payload []byte) {
		mu.Lock()
		if first {
			first = false
			close(begun)
			<-released.Done()
		}
		mu.Unlock()
		rightly(send, to, all, payload)
	})
	client := connect(t, Config{Target: s.addr, Header: named}, 2)
	p := startPush(t, client, Calls{API: s.addr, Message: event(t, 64), Groups: groupsOf(1, 2), Rate: 1_000, Limit: 2 * held})
	<-begun
	w := client.workers[0]
	// The last of the calls has come due while the first is held.
	wait(t, func() bool { return w.now()-p.push.start > 2*held*1e6 })
	release()
	<-p.Done()
	r := p.End()
	// The second call was due 1 ms after the first, and made 2*held ms after it at the earliest.
	if at := r.Answer.ValueAtQuantile(50); r.Failures != 0 || at < (held-2)*1e6 {
		t.Errorf("the median call was answered %v ms after its due time, failures %q", float64(at)/1e6, r.Details)
	}
}

func TestWrongDeliveriesAreFoundAndNamed(t *testing.T) {
	for name, c := range map[string]struct {
		deliver func(send func(string, []byte), to, all []string, payload []byte)
		answer  string
		want    string
	}{
		"missing":   {func(func(string, []byte), []string, []string, []byte) {}, accepted, "deliveries did not come"},
		"one short": {func(send func(string, []byte), to, all []string, p []byte) { rightly(send, to[:1], all, p) }, accepted, "0 calls had no answer and 1 deliveries did not come"},
		"doubled": {func(send func(string, []byte), to, all []string, p []byte) {
			rightly(send, to, all, p)
			rightly(send, to, all, p)
		}, accepted, ""},
		"before its call": {func(send func(string, []byte), to, all []string, p []byte) {
			rightly(send, to, all, p)
			rightly(send, to, all, []byte(strings.Replace(string(p), "0000000000000000", "0000000000000001", 1)))
		}, accepted, "unasked for came"},
		"to somebody else": {func(send func(string, []byte), to, all []string, p []byte) { send("5", p); rightly(send, to, all, p) }, accepted, "unasked for came"},
		"of another group": {func(send func(string, []byte), to, all []string, p []byte) {
			rightly(send, to, all, []byte(strings.Replace(string(p), "00000000", "00000001", 1)))
		}, accepted, "wrong from byte"},
		"another byte": {func(send func(string, []byte), to, all []string, p []byte) {
			rightly(send, to, all, []byte(strings.Replace(string(p), "pad", "Pad", 1)))
		}, accepted, "wrong from byte"},
		"refused":       {rightly, `{"code":400,"message":"send message target is nil"}`, "the API answered"},
		"not an answer": {rightly, `hello`, "the API answered"},
	} {
		t.Run(name, func(t *testing.T) {
			s := servePush(t, c.answer, c.deliver)
			client := connect(t, Config{Target: s.addr, Header: named}, 6)
			p := startPush(t, client, Calls{API: s.addr, Message: event(t, 64), Groups: groupsOf(2, 4)[:1], Limit: 3, Drain: 1})
			if !strings.Contains(c.want, "did not come") { // what is missing shows at the end only
				<-p.Done()
			} else {
				wait(t, func() bool { return client.workers[0].ex.called.Load() > 0 })
			}
			r := p.End()
			if r.Failures == 0 || !strings.Contains(strings.Join(r.Details, "; "), c.want) {
				t.Errorf("%d failures: %q", r.Failures, r.Details)
			}
		})
	}
}

// With an hour to drain, End returns only when nothing is thought outstanding.
func TestAConnectionThatIsGivenUpIsNotWaitedFor(t *testing.T) {
	calls := 0
	s := servePush(t, accepted, func(send func(string, []byte), to, all []string, p []byte) {
		if calls++; calls == 3 { // of two connections, the first's second
			p = []byte(strings.Replace(string(p), "pad", "Pad", 1))
		}
		rightly(send, to, all, p)
	})
	client := connect(t, Config{Target: s.addr, Header: named}, 2)
	p := startPush(t, client, Calls{API: s.addr, Message: event(t, 64), Groups: groupsOf(1, 2), Limit: 10, Drain: time.Hour})
	<-p.Done()
	if r := p.End(); r.Failures != 1 || !strings.Contains(r.Details[0], "message 1 is wrong") {
		t.Errorf("%d failures: %q", r.Failures, r.Details)
	}
}

func TestGroupsThatCannotBeAreRefused(t *testing.T) {
	for want, groups := range map[string][]Group{
		"without groups":               nil,
		"connections 3 to 4, of 4":     {{First: 3, Count: 2}},
		"connections 0 to -1, of 4":    {{First: 0, Count: 0}},
		"connections -1 to 0, of 4":    {{First: -1, Count: 2}},
		"connection 1 is in groups 0 ": {{First: 0, Count: 2}, {First: 1, Count: 1}},
	} {
		if _, err := checkGroups(groups, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	of, err := checkGroups([]Group{{First: 2, Count: 1}, {First: 0, Count: 2}}, 4)
	if err != nil || fmt.Sprint(of) != "[1 1 0 -1]" {
		t.Errorf("got %v, %v", of, err)
	}
}

func TestAnAnswerIsJudgedWhenItIsWhole(t *testing.T) {
	right := "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 30\r\n\r\n" + accepted
	for i := range len(right) {
		if length, err := checkAnswer([]byte(right[:i])); length != 0 || err != nil {
			t.Errorf("%d bytes: %d, %v", i, length, err)
		}
	}
	if length, err := checkAnswer([]byte(right + "more")); length != len(right) || err != nil {
		t.Errorf("the whole and more: %d, %v", length, err)
	}
	for _, wrong := range []string{
		strings.Replace(right, "200", "503", 1), strings.Replace(right, "Content-Length", "X", 1),
		strings.Replace(right, ": 30", ": many", 1), strings.Replace(right, ": 30", ": 99999999", 1),
		strings.Replace(right, `"code":0`, `"code":4`, 1), strings.Repeat("x", mostAnswer+1),
	} {
		if length, err := checkAnswer([]byte(wrong)); err == nil {
			t.Errorf("%.80q was taken, length %d", wrong, length)
		}
	}
}
