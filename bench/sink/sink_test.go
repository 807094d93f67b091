package sink

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// fasthttp's housekeepers sleep for seconds before they see that their server,
	// client or dialer is done.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}

func serve(t *testing.T, cfg Config) Control {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, ended := New(cfg), make(chan error, 1)
	go func() { ended <- a.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return At(netip.MustParseAddrPort(l.Addr().String()))
}

// post has a callback answered, and returns the answer's body with its type before it.
func post(t *testing.T, c Control, body string) string {
	t.Helper()
	resp, err := http.Post(c.CallbackURL(), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d, %v", body, resp.StatusCode, err)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return kind + " " + string(answer)
}

// gatewayOf has c send its replies to a gateway that serve stands in for.
func gatewayOf(t *testing.T, c Control, serve http.HandlerFunc) {
	t.Helper()
	gateway := httptest.NewServer(serve)
	t.Cleanup(gateway.Close)
	if err := c.SetGateway(netip.MustParseAddrPort(gateway.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
}

func stats(t *testing.T, c Control) Stats {
	t.Helper()
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAMessageGoesBackToItsConnectionUntouched(t *testing.T) {
	calls := make(chan string, 1)
	c := serve(t, Config{})
	gatewayOf(t, c, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- r.Method + " " + r.URL.Path + " " + string(body)
		io.WriteString(w, `{"code":0,"message":"success"}`)
	})
	post(t, c, `{"data":{},"action":"open","user_name":"alice","conn_id":"x1"}`)
	post(t, c, `{"data":{"b":1.50, "a":"\u00e9"},"action":"message","user_name":"alice","conn_id":"x1"}`)
	if got, want := <-calls, `POST /tapr/ws/conn/send {"payload":{"b":1.50, "a":"\u00e9"},"conn_id":"x1"}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	post(t, c, `{"data":{},"action":"close","user_name":"alice","conn_id":"x1","code":1001}`)
	if got, want := stats(t, c), (Stats{Open: 1, Message: 1, Close: 1, Sent: 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSendsThatAreNotAcceptedAreCounted(t *testing.T) {
	c := serve(t, Config{})
	post(t, c, `{"data":1,"action":"message","conn_id":"x1"}`)
	if s := stats(t, c); s.Failed != 1 || !strings.Contains(s.Failure, "before the gateway") {
		t.Errorf("without a gateway: %+v", s)
	}
	gatewayOf(t, c, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"code":400,"message":"send message target is nil"}`)
	})
	post(t, c, `{"data":1,"action":"message","conn_id":"x1"}`)
	if s := stats(t, c); s.Failed != 2 || s.Message != 2 || s.Sent != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCallbacksThatAreNoneAreCounted(t *testing.T) {
	c := serve(t, Config{})
	bad := []string{``, `[]`, `nonsense`, `{"action":"message"}`, `{"action":"leave","conn_id":"x"}`, `{"data":1,"action":"message"}`}
	for _, body := range bad {
		post(t, c, body)
	}
	if s := stats(t, c); s.Failed != uint64(len(bad)) || s.Message != 0 || s.Failure == "" {
		t.Errorf("got %+v", s)
	}
}

func TestMuteUsersGetNoReplies(t *testing.T) {
	c := serve(t, Config{Mute: "mute-"}) // a reply would fail, for there is no gateway
	post(t, c, `{"data":1,"action":"message","conn_id":"x1","user_name":"mute-empty"}`)
	if s := stats(t, c); s.Message != 1 || s.Failed != 0 || s.Sent != 0 {
		t.Errorf("got %+v", s)
	}
	post(t, c, `{"data":1,"action":"message","conn_id":"x2","user_name":"user-mute-"}`)
	if s := stats(t, c); s.Failed != 1 {
		t.Errorf("another user was muted: %+v", s)
	}
}

func TestAnAppThatIsNotThereIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := At(netip.MustParseAddrPort(l.Addr().String())).Stats(); err == nil {
		t.Error("no error")
	}
}

func TestRepliesCanBeInTheCallbacksAnswer(t *testing.T) {
	c := serve(t, Config{Reply: true}) // a send would fail, for there is no gateway
	answer := post(t, c, `{"data":{"b":1.50},"action":"message","user_name":"alice","conn_id":"x1"}`)
	if answer != `application/json {"b":1.50}` {
		t.Errorf("got %s", answer)
	}
	if answer := post(t, c, `{"data":{},"action":"open","user_name":"alice","conn_id":"x1"}`); !strings.HasSuffix(answer, " ") {
		t.Errorf("open: got %q", answer)
	}
	if s := stats(t, c); s.Message != 1 || s.Open != 1 || s.Failed != 0 || s.Sent != 1 {
		t.Errorf("got %+v", s)
	}
}
