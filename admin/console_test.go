package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ws-gateway/forward"
)

func TestTheConsoleIsServedUnderAStrictPolicy(t *testing.T) {
	r := newRig(t)
	for path, contentType := range map[string]string{
		"/console/": "text/html; charset=utf-8", "/console/index.html": "text/html; charset=utf-8", "/CONSOLE/": "text/html; charset=utf-8",
		"/console/main.js": "text/javascript; charset=utf-8", "/console/style.css": "text/css; charset=utf-8", "/console/icon.svg": "image/svg+xml",
	} {
		got := r.do("GET", path, "")
		if got.status != http.StatusOK || got.header.Get("Content-Type") != contentType || got.body == "" {
			t.Errorf("%s: %d %s", path, got.status, got.header.Get("Content-Type"))
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q", path, name, value)
			}
		}
	}
	r.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if got := r.do("GET", "/console", ""); got.status != http.StatusPermanentRedirect || got.header.Get("Location") != "/console/" {
		t.Errorf("without its slash: %d %s", got.status, got.header.Get("Location"))
	}
	for _, path := range []string{"/console/nothing.js", "/console/../metrics", "/console/%2e%2e/metrics", "/console/main.js/x"} {
		if got := r.wire().write("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("GET"); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := r.do("POST", "/console/", "x"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
}

func TestStatusTellsOfTheGatewayAndItsApp(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	r := newRig(t, func(cfg *Config) {
		cfg.Version = "v<1>"
		cfg.Ready = func() (bool, string) { return false, "draining" }
		cfg.Health = func() forward.Health {
			return forward.Health{App: "http://app/ws", Down: true, Since: at, Trouble: &forward.Trouble{
				Since: at, Kind: "failing", Text: `it answers "500"`, Fix: "mend it", Waiting: 7, GivenUp: 9,
				Answers: []forward.AnswerCount{{Label: "500", Count: 12}, {Label: "timeout", Count: 1}},
			}, Failures: []forward.Failure{
				{Time: at, RequestID: "c-2", Action: "message", Attempts: 3, Status: 500, Reason: forward.Unavailable},
				{Time: at, RequestID: "c-1", Action: "open", Attempts: 1, Reason: forward.TimedOut},
			}}
		}
	})
	r.dial("alice", "probe")
	var got struct {
		Code int `json:"code"`
		Data struct {
			Time        time.Time `json:"time"`
			Started     time.Time `json:"started"`
			Version     string    `json:"version"`
			Ready       bool      `json:"ready"`
			Why         string    `json:"why"`
			Connections int       `json:"connections"`
			App         struct {
				URL      string           `json:"url"`
				Down     bool             `json:"down"`
				Since    time.Time        `json:"since"`
				Failures []map[string]any `json:"failures"`
				Trouble  map[string]any   `json:"trouble"`
			} `json:"app"`
		} `json:"data"`
	}
	text := r.do("GET", "/tapr/ws/status", "").body
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	d := got.Data
	if got.Code != 0 || d.Version != "v<1>" || d.Ready || d.Why != "draining" || d.Connections != 1 || d.Time.Before(d.Started) ||
		d.App.URL != "http://app/ws" || !d.App.Down || !d.App.Since.Equal(at) || len(d.App.Failures) != 2 {
		t.Fatal(text)
	}
	if f := d.App.Failures[0]; f["reason"] != "unavailable" || f["status"] != 500.0 || f["attempts"] != 3.0 || f["request_id"] != "c-2" || f["action"] != "message" {
		t.Error(f)
	}
	if tr := d.App.Trouble; tr["kind"] != "failing" || tr["message"] != `it answers "500"` || tr["fix"] != "mend it" || tr["waiting"] != 7.0 || tr["given_up"] != 9.0 ||
		tr["since"] != "2026-05-04T03:02:01.000Z" || fmt.Sprint(tr["answers"]) != "map[500:12 timeout:1]" {
		t.Error(tr)
	}
	if text := newRig(t).do("GET", "/tapr/ws/status", "").body; strings.Contains(text, "app") || !json.Valid([]byte(text)) {
		t.Errorf("a gateway without an app says %s", text)
	}
}

func TestTheConfigurationIsShownWhereThereIsOne(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Configuration = func() string { return "path: \"/ws\"\n" } })
	if got := r.do("GET", "/tapr/ws/config", ""); got.body != `{"code":0,"message":"success","data":"path: \"/ws\"\n"}` {
		t.Error(got.body)
	}
	if got := newRig(t).do("GET", "/tapr/ws/config", ""); !strings.Contains(got.body, `"code":404`) {
		t.Error(got.body)
	}
}
