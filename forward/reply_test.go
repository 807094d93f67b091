package forward

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ws-gateway/forward/callback"
)

func TestAReplyIsWhatTheAnswerSaysToTheClient(t *testing.T) {
	const invalid = "\xff\xfe"
	for _, c := range []struct {
		name   string
		header map[string]string
		status int
		body   string
		want   string // of fmt; "" for no reply
	}{
		{"JSON", map[string]string{"Content-Type": "application/json"}, 200, `{"a": 1}`, `text "{\"a\": 1}"`},
		{"JSON with a parameter", map[string]string{"Content-Type": "Application/JSON ; charset=utf-8"}, 201, `1`, `text "1"`},
		{"text", map[string]string{"Content-Type": "text/plain"}, 200, "hé", `text "hé"`},
		{"text that is none", map[string]string{"Content-Type": "text/plain; charset=latin1"}, 200, invalid, `binary "\xff\xfe"`},
		{"bytes", map[string]string{"Content-Type": "application/octet-stream"}, 200, invalid, `binary "\xff\xfe"`},
		{"no type", map[string]string{"Content-Type": ""}, 200, "x", `binary "x"`},
		{"another JSON", map[string]string{"Content-Type": "application/problem+json"}, 200, "1", `binary "1"`},
		{"not quite text", map[string]string{"Content-Type": "text/"}, 200, "1", `binary "1"`},
		{"the limit", map[string]string{"Content-Type": "text/x"}, 200, strings.Repeat("x", callback.MaxBody), fmt.Sprintf("text %q", strings.Repeat("x", callback.MaxBody))},
		{"over it", map[string]string{"Content-Type": "text/x"}, 200, strings.Repeat("x", callback.MaxBody+1), ""},
		{"over it, and a close", map[string]string{"X-Ws-Close": "4001 bye"}, 200, strings.Repeat("x", callback.MaxBody+1), `binary "" close 4001 "bye"`},
		{"nothing", nil, 200, "", ""},
		{"204", nil, 204, "", ""},
		{"a close", map[string]string{"X-Ws-Close": "4001 signed out, sorry"}, 204, "", `binary "" close 4001 "signed out, sorry"`},
		{"a body and a close", map[string]string{"X-Ws-Close": "1000", "Content-Type": "text/x"}, 200, "bye", `text "bye" close 1000 ""`},
		{"a code that is not allowed", map[string]string{"X-Ws-Close": "1001 x"}, 200, "", ""},
		{"no code", map[string]string{"X-Ws-Close": "now"}, 200, "", ""},
		{"an empty close", map[string]string{"X-Ws-Close": ""}, 200, "", ""},
		{"a long code", map[string]string{"X-Ws-Close": "40010"}, 200, "", ""},
		{"and the end of the connection", map[string]string{"Connection": "close", "Content-Type": "text/x"}, 200, "x", `text "x"`},
		{"a refusal", map[string]string{"Content-Type": "text/x", "X-Ws-Close": "4001"}, 400, "x", ""},
	} {
		got := ""
		cfg := Config{Reply: func(key uint64, r Reply) {
			kind := map[bool]string{true: "text", false: "binary"}[r.Text]
			got += fmt.Sprintf("%s %q", kind, r.Body)
			if r.Close {
				got += fmt.Sprintf(" close %d %q", r.Code, r.Reason)
			}
			equal(t, "key", key, 7)
		}}
		bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.header {
					w.Header()[name] = []string{value}
					if name == "Content-Type" && value == "" {
						w.Header()[name] = nil
					}
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}
			f.Message(source(7, 1), []byte("1"), false)
			f.Message(source(7, 2), []byte("1"), false)
			synctest.Wait()
			equal(t, c.name, got, c.want+c.want) // the second as the first
			if n := log.count("said once"); n > 1 {
				t.Errorf("%s: logged %d times", c.name, n)
			}
			equal(t, c.name+": left", f.Stats().Events, 0)
		})
	}
}

func TestAReplyIsHandedOverBeforeTheNextEventIsSent(t *testing.T) {
	var replied atomic.Value
	replied.Store("")
	cfg := Config{Reply: func(key uint64, r Reply) {
		time.Sleep(time.Second)
		replied.Store(string(r.Body))
	}}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if want := map[string]string{"c1-0": "", "c1-1": "c1-0", "c1-2": "c1-1"}[p.id]; replied.Load() != want {
				t.Errorf("%s was sent after the reply %q", p.id, replied.Load())
			}
			_, _ = io.WriteString(w, p.id)
		}
		for seq := range 3 {
			f.Message(source(1, seq), []byte("1"), false)
		}
		time.Sleep(10 * time.Second)
		equal(t, "the last", replied.Load(), any("c1-2"))
	})
}

func FuzzACloseWishIsACodeThatMayBeSentOrNothing(f *testing.F) {
	f.Add([]byte("4001 reason"))
	f.Add([]byte(" 1000"))
	f.Fuzz(func(t *testing.T, value []byte) {
		code, _, ok := parseClose(value)
		if ok != (code != 0) || ok && code != 1000 && (code < 3000 || code > 4999) {
			t.Errorf("%q: %d, %v", value, code, ok)
		}
	})
}
