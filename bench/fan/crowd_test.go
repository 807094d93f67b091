package fan

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a server that gives what one says to deliver, for each connection.
type room struct {
	mu      sync.Mutex
	all     []*websocket.Conn
	deliver func(c *websocket.Conn, number int, text []byte)
}

// serve runs a room and returns its address.
func serve(t *testing.T, deliver func(c *websocket.Conn, number int, text []byte)) netip.AddrPort {
	t.Helper()
	r := &room{deliver: deliver}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
}

func (r *room) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	c, err := websocket.Accept(w, q, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	r.mu.Lock()
	r.all = append(r.all, c)
	r.mu.Unlock()
	for {
		_, text, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if !strings.HasPrefix(string(text), "broadcast ") {
			echo(c, 0, text)
			continue
		}
		r.mu.Lock()
		for i, c := range r.all {
			r.deliver(c, i, text)
		}
		r.mu.Unlock()
	}
}

func echo(c *websocket.Conn, _ int, text []byte) {
	_ = c.Write(context.Background(), websocket.MessageText, text) // the crowd notices what is missing
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestABroadcastIsOverWhenEveryConnectionHasIt(t *testing.T) {
	for name, busy := range map[string]bool{"sleeping": false, "spinning": true} {
		t.Run(name, func(t *testing.T) {
			var delivered atomic.Int64
			at := serve(t, func(c *websocket.Conn, number int, text []byte) { delivered.Add(1); echo(c, number, text) })
			crowd, err := Connect(patience(t), at, 150, busy)
			if err != nil {
				t.Fatal(err)
			}
			defer crowd.Close()
			for n := 1; n <= 3; n++ {
				last, err := crowd.Broadcast(patience(t))
				if err != nil || last <= 0 {
					t.Fatalf("%v, %v", last, err)
				}
				if got := delivered.Load(); got != int64(150*n) {
					t.Errorf("%d deliveries after broadcast %d to 150", got, n)
				}
			}
			crowd.Close()
		})
	}
}

func TestWhatIsNotTheBroadcastIsAnError(t *testing.T) {
	for want, deliver := range map[string]func(c *websocket.Conn, number int, text []byte){
		"was due": func(c *websocket.Conn, number int, text []byte) {
			if number == 2 {
				text = []byte(strings.ToUpper(string(text)))
			}
			echo(c, number, text)
		},
		"connection": func(c *websocket.Conn, number int, text []byte) {
			echo(c, number, text)
			if number == 1 {
				echo(c, number, text) // twice: at the latest the next broadcast finds it
			}
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
			crowd, err := Connect(patience(t), serve(t, deliver), 3, false)
			if err != nil {
				t.Fatal(err)
			}
			defer crowd.Close()
			for range 2 {
				if _, err = crowd.Broadcast(patience(t)); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABroadcastThatNeverArrivesEndsWithItsContext(t *testing.T) {
	crowd, err := Connect(patience(t), serve(t, func(*websocket.Conn, int, []byte) {}), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := crowd.Broadcast(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 2") {
		t.Errorf("got %v", err)
	}
}

func TestARefusedHandshakeIsAnError(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	_, err := Connect(patience(t), netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://")), 1, false)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("404: %v", err)
	}
	const begin = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: "
	for answer, want := range map[string]bool{
		begin + accept + "\r\n\r\n":         true,
		begin + "other\r\n\r\n":             false,
		begin + accept + "\r\n\r\nhello":    false,
		strings.Repeat("endless ", maxHead): false,
	} {
		if through, err := checkAnswer([]byte(answer)); through != want || errors.Is(err, ErrRefused) == want {
			t.Errorf("%.100q: %v, %v", answer, through, err)
		}
	}
	if through, err := checkAnswer([]byte(begin)); through || err != nil {
		t.Errorf("an answer that is not complete: %v, %v", through, err)
	}
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	if _, err := Connect(patience(t), at, 1, false); err == nil {
		t.Error("connected to nobody")
	}
}

func TestBroadcastsAreOfOneSizeAndAllDifferent(t *testing.T) {
	a, b := payload(1), payload(1<<24)
	if len(a) != Size || len(b) != Size || string(a) == string(b) || !strings.HasPrefix(string(a), "broadcast ") {
		t.Errorf("%q, %q", a, b)
	}
}
