package admin

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A peer that tries tokens waits, is turned away if it tries several at a time, and the app on
// this host notices nothing.
func TestGuessersWaitAndTheAppDoesNot(t *testing.T) {
	const ofOnePeer = 4 // answers that are held back at a time
	released, release := context.WithCancel(t.Context())
	now := time.Now() // and it stays: no answer becomes due
	r := newRig(t, func(cfg *Config) {
		cfg.Token = "right"
		cfg.now = func() time.Time { return now }
		cfg.holdBack = func(func(time.Duration)) func(time.Duration) { return func(time.Duration) { <-released.Done() } }
	})
	strangers := newCrowd()
	r.serve(strangers)
	const get = "GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "

	first := strangers.from(t, "192.0.2.1:1").write(get + "wrong\r\n\r\n")
	await(t, "the first answer to be held back", func() bool { return r.metric("ws_gateway_api_wrong_tokens_waiting") == 1 })
	for _, token := range []string{"wrong", "right"} {
		got := strangers.from(t, "192.0.2.1:2").write(get + token + "\r\n\r\n").read("GET")
		if got.status != 429 || got.header.Get("Retry-After") != "1" || !got.close {
			t.Errorf("%s, meanwhile: %+v", token, got)
		}
	}
	if got := strangers.from(t, "192.0.2.1:3").write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"); got.status != 401 {
		t.Errorf("without a token: %+v", got)
	}
	if got := strangers.from(t, "192.0.2.2:1").write(get + "right\r\n\r\n").read("GET"); got.status != 200 {
		t.Errorf("from elsewhere: %+v", got)
	}
	// The same on this host, where the app has the address of those who guess.
	var held []*rawConn
	for range ofOnePeer {
		held = append(held, r.wire().write(get+"wrong\r\n\r\n"))
	}
	await(t, "the guessers of this host", func() bool { return r.metric("ws_gateway_api_wrong_tokens_waiting") == 1+ofOnePeer })
	for range 100 {
		if got := r.do("GET", "/tapr/ws/conn/count", "", "Authorization: Bearer wrong"); got.status != 429 {
			t.Fatalf("one more of them: %+v", got)
		}
		if got := r.do("GET", "/tapr/ws/conn/count", "", "Authorization: Bearer right"); got.status != 200 {
			t.Fatalf("the app: %+v", got)
		}
	}
	metrics := r.do("GET", "/metrics", "", "Authorization: Bearer right").body
	for _, line := range []string{"ws_gateway_api_wrong_tokens_total 105", "ws_gateway_api_throttled_total 102", "ws_gateway_api_wrong_tokens_waiting 5"} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no %q in the metrics", line)
		}
	}
	release()
	if got := first.read("GET"); got.status != 401 || !got.close {
		t.Errorf("at last: %+v", got)
	}
	for _, w := range held {
		if got := w.read("GET"); got.status != 401 {
			t.Errorf("at last, on this host: %+v", got)
		}
	}
}

func TestNobodyIsHeldBackOverTheEnd(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		cfg.Token = "right"
		cfg.holdBack = func(wait func(time.Duration)) func(time.Duration) {
			return func(time.Duration) { wait(time.Hour) }
		}
	})
	w := r.wire().write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n")
	await(t, "the answer to be held back", func() bool { return r.metric("ws_gateway_api_wrong_tokens_waiting") == 1 })
	r.admin.Shutdown(t.Context())
	if got := w.read("GET"); got.status != 401 {
		t.Errorf("%+v", got)
	}
}
