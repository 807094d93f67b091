package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/program"
)

// resumer is a gateway with one session, which it resumes.
type resumer struct {
	talks    sync.WaitGroup
	mu       sync.Mutex
	began    bool
	received []string
	closes   []websocket.StatusCode
	refuses  int // handshakes after the first one, with 503
}

func (g *resumer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.talks.Add(1)
	defer g.talks.Done()
	g.mu.Lock()
	refused := g.began && g.refuses != 0
	if refused {
		g.refuses--
	}
	resumed := g.began
	g.began = true
	greeting := sessionMark + `{"resumed":` + strconv.FormatBool(resumed) + `,"id":"c","token":"t","for":60,"received":` + strconv.Itoa(len(g.received)) + `}`
	g.mu.Unlock()
	if refused {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{resumable}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.Write(r.Context(), websocket.MessageText, []byte(greeting))
	for {
		_, data, err := ws.Read(r.Context())
		g.mu.Lock()
		if err != nil {
			if code := websocket.CloseStatus(err); code != -1 {
				g.closes = append(g.closes, code)
			}
			g.mu.Unlock()
			return
		}
		if !strings.HasPrefix(string(data), sessionMark) {
			g.received = append(g.received, string(data))
		}
		g.mu.Unlock()
	}
}

// awayAt runs a talk in a session, whose line is cut at once and for an hour, with input that
// begins when it is away.
func awayAt(t *testing.T, g *resumer, input string, lastTry time.Duration) (notes string, err error) {
	server := httptest.NewServer(g)
	defer server.Close()
	defer server.CloseClientConnections()
	in, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cut := &onNote{text: "cut; back in", then: func() {
		io.WriteString(typing, input)
		typing.Close()
	}}
	s := inEnvironment(nil)
	s.in, s.out, s.notes = in, io.Discard, cut
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at, _ := url.Parse(server.URL)
	at.Scheme = "ws"
	o := connectOptions{URL: at.String(), Timeout: time.Minute}
	roam := &roaming{
		target: at, timeout: time.Minute, cut: time.Millisecond, away: time.Hour, lastTry: lastTry,
		dial: func(ctx context.Context, subprotocols []string) (*websocket.Conn, *http.Response, error) {
			return o.dial(ctx, http.Header{}, subprotocols)
		},
	}
	d := roam.connect(ctx, []string{resumable})
	if d.err != nil {
		t.Fatal(d.err)
	}
	if resumes, err := roam.start(d); !resumes || err != nil {
		t.Fatal(resumes, err)
	}
	err = (&talk{s: s, ws: d.ws, kind: websocket.MessageText, timeout: time.Minute, wait: time.Millisecond, roam: roam}).run(ctx, 0)
	if ctx.Err() != nil {
		t.Error("it did not end")
	}
	g.talks.Wait()
	return cut.String(), err
}

// onNote are notes; the first one with a text calls a function.
type onNote struct {
	strings.Builder
	text string
	then func()
}

func (n *onNote) Write(p []byte) (int, error) {
	if n.then != nil && strings.Contains(string(p), n.text) {
		n.then()
		n.then = nil
	}
	return n.Builder.Write(p)
}

func TestTheEndOfTheWaitIsTheEndAlsoWhileAway(t *testing.T) {
	for name, g := range map[string]*resumer{"at once": {}, "after a refusal": {refuses: 1}} {
		notes, err := awayAt(t, g, "one\ntwo\n", time.Minute)
		if got := strings.Join(g.received, " "); err != nil || got != "one two" || len(g.closes) != 1 || g.closes[0] != websocket.StatusNormalClosure {
			t.Errorf("%s: %v: received %q, closed with %v\n%s", name, err, got, g.closes, notes)
		}
	}
}

func TestMessagesThatCannotLeaveAtTheEndAreAnError(t *testing.T) {
	notes, err := awayAt(t, &resumer{refuses: -1}, "one\n", 2*time.Second)
	if err == nil || !strings.HasPrefix(err.Error(), "1 message may not have arrived: ") {
		t.Errorf("%v\n%s", err, notes)
	}
	if notes, err := awayAt(t, &resumer{refuses: -1}, "", 2*time.Second); exitCodeOf(err) != program.ExitOK {
		t.Errorf("nothing was to be sent: %v\n%s", err, notes)
	}
}
