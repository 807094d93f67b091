package forward

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestASignatureIsTheKnownOne(t *testing.T) {
	// printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
	const want = "X-Ws-Signature: t=1700000000,v1=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940,v1=c6b9cff16eb89c3707e065443e0c99232b178777c5b5f3e5036495bdbb51929f\r\n"
	at := time.Unix(1_700_000_000, 999)
	s := newSigner([]string{"s3cret", "older"})
	for range 2 { // nothing is left from the first
		equal(t, "header", string(s.appendField(nil, []byte(`{"a":1}`), at)), want)
	}
	equal(t, "without secrets", string(newSigner(nil).appendField([]byte("x"), nil, at)), "x")
}

func TestSigningAllocatesNothing(t *testing.T) {
	s, body, dst := newSigner([]string{"a", "b"}), make([]byte, 200), make([]byte, 0, 1000)
	at := time.Now()
	s.appendField(dst, body, at)
	equal(t, "allocations", testing.AllocsPerRun(100, func() { s.appendField(dst, body, at) }), 0)
}

func TestEachAttemptIsSignedAnewOverTheBytesThatAreSent(t *testing.T) {
	cfg := Config{Secrets: []string{"one", "two"}}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		signatures := make(chan string, 10)
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			got := r.Header.Get("X-Ws-Signature")
			want := newSigner(cfg.Secrets).appendField(nil, []byte(p.body), time.Now())
			if "X-Ws-Signature: "+got+"\r\n" != string(want) {
				t.Errorf("%s: signature %q, want %q", p.id, got, want)
			}
			signatures <- got
			if p.attempt < 3 {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(503)
			}
		}
		f.Message(source(1, 0), []byte(`{"big":"`+strings.Repeat("x", 2*maxJoined)+`"}`), false)
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

func BenchmarkSigning(b *testing.B) {
	s, body, dst := newSigner([]string{"a"}), make([]byte, 200), make([]byte, 0, 1000)
	for b.Loop() {
		s.appendField(dst, body, time.Time{})
	}
}
