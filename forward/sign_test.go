package forward

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEachAttemptIsSignedAnewOverTheBytesThatAreSent(t *testing.T) {
	cfg := Config{Secrets: []string{"one", "two"}}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		signatures := make(chan string, 10)
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			got := r.Header.Get("X-Ws-Signature")
			if want := signature(cfg.Secrets, p.body, time.Now()); got != want {
				t.Errorf("%s: signature %q, want %q", p.id, got, want)
			}
			signatures <- got
			if p.attempt < 3 {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(503)
			}
		}
		f.Message(source(1, 0), []byte(`{"big":"`+strings.Repeat("x", 64<<10)+`"}`), false)
		time.Sleep(10 * time.Second)
		first := take(t, signatures)
		for range 2 {
			if next := take(t, signatures); next == first {
				t.Error("two attempts at different times have one signature")
			}
		}
	})
}

func TestAnEmptySecretIsRefused(t *testing.T) {
	if _, err := New(Config{URL: "http://a/", Secrets: []string{"a", ""}}); err == nil {
		t.Error("taken")
	}
}

// signature is the value of X-Ws-Signature for body.
func signature(secrets []string, body string, at time.Time) string {
	value := fmt.Sprintf("t=%d", at.Unix())
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
		value += fmt.Sprintf(",v1=%x", mac.Sum(nil))
	}
	return value
}
