package load

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// room echoes what one says, on a WebSocket implementation that is not ours, and gives
// a broadcast to deliver, for each connection that has said something.
func room(t *testing.T, deliver func(c *websocket.Conn, number int, text []byte)) netip.AddrPort {
	t.Helper()
	var mu sync.Mutex
	var all []*websocket.Conn
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(8 << 20)
		for first := true; ; first = false {
			op, data, err := c.Read(context.Background())
			if err != nil {
				return
			}
			mu.Lock()
			if first {
				all = append(all, c)
			}
			conns := slices.Clone(all)
			mu.Unlock()
			if !strings.HasPrefix(string(data), BroadcastPrefix) {
				_ = c.Write(context.Background(), op, data) // the client notices what is missing
				continue
			}
			for i, c := range conns {
				deliver(c, i, data)
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func echo(c *websocket.Conn, _ int, text []byte) {
	_ = c.Write(context.Background(), websocket.MessageText, text) // the client notices what is missing
}

// broadcast opens connections, has each say something and then makes broadcasts.
func broadcast(t *testing.T, cfg Config, conns, limit int, drain time.Duration) *Push {
	t.Helper()
	c := connect(t, cfg, conns)
	hello, err := Bare(Text, 16)
	if err == nil {
		err = c.Start(Traffic{Message: hello}).End().Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return startPush(t, c, Calls{Message: Broadcast(), Groups: []Group{{Count: conns}}, Limit: limit, Drain: drain})
}

func TestABroadcastIsOverWhenEveryConnectionHasIt(t *testing.T) {
	for name, busy := range map[string]bool{"sleeping": false, "spinning": true} {
		t.Run(name, func(t *testing.T) {
			p := broadcast(t, Config{Target: room(t, echo), Busy: busy}, 150, 3, 0)
			<-p.Done()
			if r := p.End(); r.Failures != 0 || r.Calls != 3 || r.Messages != 3*150 || r.Last.TotalCount() != 3 || r.Last.Min() <= 0 {
				t.Errorf("%d broadcasts, %d deliveries, failures %q", r.Calls, r.Messages, r.Details)
			}
		})
	}
}

func TestWhatIsNotTheBroadcastIsFound(t *testing.T) {
	for want, deliver := range map[string]func(c *websocket.Conn, number int, text []byte){
		"wrong from byte": func(c *websocket.Conn, number int, text []byte) {
			if number == 2 {
				text = []byte(strings.ToUpper(string(text)))
			}
			echo(c, number, text)
		},
		"unasked for came": func(c *websocket.Conn, number int, text []byte) {
			echo(c, number, text)
			echo(c, number, text)
		},
		"closed the connection": func(c *websocket.Conn, number int, text []byte) {
			if number == 0 {
				c.CloseNow()
				return
			}
			echo(c, number, text)
		},
	} {
		t.Run(want, func(t *testing.T) {
			p := broadcast(t, Config{Target: room(t, deliver)}, 3, 0, 1)
			<-p.Done()
			if err := p.End().Err(); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "wrong from byte") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABroadcastThatNeverArrivesIsCounted(t *testing.T) {
	asked := make(chan struct{}, 2)
	p := broadcast(t, Config{Target: room(t, func(*websocket.Conn, int, []byte) { asked <- struct{}{} })}, 2, 1, 1)
	<-asked
	if err := p.End().Err(); err == nil || !strings.Contains(err.Error(), "2 deliveries did not come") {
		t.Errorf("got %v", err)
	}
}

func TestBroadcastsAreOfOneSizeAndAllDifferent(t *testing.T) {
	m := Broadcast()
	a, b := m.Append(nil, 0, 1), m.Append(nil, 0, 1<<24)
	if len(a) != 64 || len(b) != 64 || string(a) == string(b) || !strings.HasPrefix(string(a), BroadcastPrefix) {
		t.Errorf("%q, %q", a, b)
	}
}
