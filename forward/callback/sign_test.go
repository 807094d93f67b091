package callback

import (
	"testing"
	"time"
)

func TestASignatureIsTheKnownOne(t *testing.T) {
	// printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
	const want = "X-Ws-Signature: t=1700000000,v1=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940,v1=c6b9cff16eb89c3707e065443e0c99232b178777c5b5f3e5036495bdbb51929f\r\n"
	at := time.Unix(1_700_000_000, 999)
	s := NewSigner([]string{"s3cret", "older"})
	for range 2 { // nothing is left from the first
		equal(t, "header", string(s.appendField(nil, []byte(`{"a":1}`), "", at)), want)
	}
	equal(t, "without secrets", string(NewSigner(nil).appendField([]byte("x"), nil, "", at)), "x")
}

func TestSigningAllocatesNothing(t *testing.T) {
	s, body, dst := NewSigner([]string{"a", "b"}), make([]byte, 200), make([]byte, 0, 1000)
	at := time.Now()
	s.appendField(dst, body, "", at)
	equal(t, "allocations", testing.AllocsPerRun(100, func() { s.appendField(dst, body, "", at) }), 0)
}

func BenchmarkSigning(b *testing.B) {
	s, body, dst := NewSigner([]string{"a"}), make([]byte, 200), make([]byte, 0, 1000)
	for b.Loop() {
		s.appendField(dst, body, "", time.Time{})
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
