package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answering starts a server that answers to all requests alike, and returns a client.
func answering(t *testing.T, token string, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/behind/", token, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestACommandIsSentWithTheTokenAndItsAnswerRead(t *testing.T) {
	c := answering(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/behind"+pathSend || r.Header.Get("Authorization") != "Bearer secret" ||
			r.Header.Get("Content-Type") != "application/json" || string(body) != `{"users":["a<b"],"payload":"x"}`+"\n" {
			t.Errorf("%s %s %v %s", r.Method, r.URL.Path, r.Header, body)
		}
		io.WriteString(w, `{"code":0,"message":"success","data":{"matched":1},"cursor":"c"}`)
	})
	a, err := c.Send(t.Context(), &SendCommand{Users: []string{"a<b"}, Payload: "x"})
	if err != nil || string(a.Data) != `{"matched":1}` || a.Cursor != "c" || !strings.HasPrefix(string(a.Raw), `{"code":0`) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestARefusalSaysWhatTheGatewayHasSaid(t *testing.T) {
	for name, test := range map[string]struct {
		status    int
		body      string
		want      string
		temporary bool
	}{
		"JSON":        {http.StatusServiceUnavailable, `{"code":1,"message":"draining"}`, " answers 503: draining", true},
		"text":        {http.StatusNotFound, "404 page\x1b not found\nmore", ` answers 404: 404 page\x1b not found`, false},
		"a long line": {http.StatusBadRequest, strings.Repeat("x", 1000), strings.Repeat("x", 299) + "…", false},
		"its code":    {http.StatusOK, `{"code":40,"message":"too\nmuch"}`, `the gateway refuses: too\nmuch (code 40)`, false},
		"under way":   {http.StatusOK, `{"code":504,"message":"on its way"}`, `the gateway has not done all of it in time: on its way (code 504)`, false},
		"a redirect":  {http.StatusFound, "", " answers 302: ", false},
	} {
		c := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
		})
		_, err := c.Count(t.Context(), nil)
		no, ok := errors.AsType[*Refusal](err)
		if !ok || !strings.HasSuffix(err.Error(), test.want) || no.Temporary() != test.temporary {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerThatIsMissingInstancesSaysWhatIsKnown(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":502,"message":"m","missing":["b\n","c"]}`:                `not reached (code 502): b\n, c; done at the others, so do not just repeat it`,
		`{"code":502,"message":"m","data":{"matched":0},"missing":["b"]}`: `not reached (code 502): b; done at the others, so do not just repeat it`,
		`{"code":502,"message":"m","missing":["b"],"refused":true}`:       `the gateway refuses (code 502): not reached: b; nothing was done, so it can be repeated`,
		`{"code":502,"message":"m","data":{"matched":2},"missing":["b"]}`: `done in part (code 502): not reached: b; done at the others, so do not just repeat it`,
		`{"code":504,"message":"m","missing":["b"]}`:                      `done in part (code 504): no answer in time from b, where it may or may not be done; done at the others, so do not just repeat it`,
		`{"code":502,"message":"m","data":{"matched":2},"missing":["*"]}`: `done in part (code 502): not reached: * (gateways that are not known, because NATS is not reached); done at the others, so do not just repeat it`,
	} {
		c := answering(t, "", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		a, err := c.Leave(t.Context(), &GroupCommand{Groups: []string{"g"}, All: true})
		partly, ok := errors.AsType[*Incomplete](err)
		if !ok || partly.Error() != want || a != partly.Answer || string(a.Raw) != body {
			t.Errorf("%s: %+v, %v", body, a, err)
		}
	}
}

func TestWhatIsNoGatewaysAnswerIsAnError(t *testing.T) {
	for _, body := range []string{"", "hello", "[]", `{"message":"x"}`} {
		c := answering(t, "", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		if _, err := c.CloseConnections(t.Context(), &CloseCommand{All: true, Code: 1000}); err == nil || !strings.Contains(err.Error(), "something that is not a gateway's") {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAnUnreachableGatewayHasAReason(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // accepts by itself, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	for at, want := range map[string]Reason{
		"unix:" + filepath.Join(t.TempDir(), "none.sock"): Nobody,
		"http://127.0.0.1:1":                              Nobody,
		"http://" + hanging.Addr().String():               Slow,
		"ftp://127.0.0.1:1":                               Broken,
	} {
		c, err := New(at, "", 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Count(t.Context(), nil)
		if none, ok := errors.AsType[*Unreachable](err); !ok || none.Reason != want || !strings.Contains(err.Error(), at) {
			t.Errorf("%s: %v", at, err)
		}
		c.CloseIdle()
	}
}

func TestAProbeFollowsRedirectsWithoutTheToken(t *testing.T) {
	c := answering(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "":
			t.Error("the token was sent")
		case r.URL.Path == "/healthz":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			io.WriteString(w, r.URL.Path+"\n")
		}
	})
	for path, want := range map[string]string{"/healthz": "/elsewhere", "": "/behind/"} {
		if said, err := c.Probe(context.Background(), path); err != nil || said != want {
			t.Errorf("%s: %q, %v", path, said, err)
		}
	}
}

func TestAMetricIsFoundByItsWholeName(t *testing.T) {
	c := answering(t, "secret", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/behind/metrics" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		io.WriteString(w, "# HELP a_b b\n# TYPE a_b gauge\na_b{c=\"d\"} 1\na_b{c=\"e\"} 2.5e+06\na 7\na_c x\n")
	})
	for name, want := range map[string]float64{`a_b{c="d"}`: 1, `a_b{c="e"}`: 2_500_000, "a": 7} {
		if got, err := c.Metric(context.Background(), name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"a_b", "a_", "b", "a_c"} {
		if got, err := c.Metric(context.Background(), name); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
