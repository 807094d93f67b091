package wire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ws-gateway/netpoll/internal/wiretest"
)

// feedAll feeds text in pieces of n bytes and reports whether it was taken whole.
func feedAll(text string, n int) bool {
	var s UTF8Checker
	for len(text) > 0 {
		piece := text[:min(n, len(text))]
		text = text[len(piece):]
		if !s.Feed([]byte(piece)) {
			return false
		}
	}
	return s.Done()
}

func TestTextIsJudgedTheSameWhereverItIsCut(t *testing.T) {
	for _, text := range []string{
		"", "plain", "Grüße", "κόσμε", "日本語テキスト", "😀😀", "a\u0000b", "\U0010FFFF", "\uFEFFbom", "x\u07FF\u0800\uFFFF\U00010000",
		"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xff", "ok\xe2\x82", "ok\xf0\x9f\x98", "\xe2\x28\xa1", "é\xc3", "\xf0\x9f\x98\x80\x80",
	} {
		for n := 1; n <= len(text)+1; n++ {
			if got, want := feedAll(text, n), utf8.ValidString(text); got != want {
				t.Errorf("%q in pieces of %d: %v, want %v", text, n, got, want)
			}
		}
	}
}

func TestWhatCanNoLongerBecomeUTF8FailsWithTheByteThatSpoilsIt(t *testing.T) {
	for _, bad := range []string{ // the last byte is the spoiling one
		"\x80", "\xbf", "\xc0", "\xc1", "\xf5", "\xff", "\xe0\x80", "\xe0\x9f", "\xed\xa0", "\xf0\x80", "\xf0\x8f", "\xf4\x90",
		"\xc3\x28", "\xe2\x82\x28", "\xf0\x9f\x28", "\xf0\x9f\x98\x28", "\xc3\xc3", "\xe2\x82\xe2",
	} {
		for _, before := range []string{"", "a", "é", "日", "😀"} {
			text := before + bad
			for first := 0; first < len(text); first++ {
				var s UTF8Checker
				if !s.Feed([]byte(text[:first])) {
					t.Errorf("%q: failed after %d bytes", text, first)
				} else if s.Feed([]byte(text[first:])) {
					t.Errorf("%q, cut at %d: not failed at its end", text, first)
				}
			}
		}
	}
}

func TestAnIncompleteSequenceIsNotTheEndOfAText(t *testing.T) {
	for _, seq := range []string{"é", "日", "😀"} {
		for cut := 1; cut < len(seq); cut++ {
			var s UTF8Checker
			if !s.Feed([]byte("abc"+seq[:cut])) || s.Done() {
				t.Errorf("%d bytes of %q: failed, or done", cut, seq)
			}
			if !s.Feed(nil) || s.Done() {
				t.Errorf("%d bytes of %q and an empty piece: failed, or done", cut, seq)
			}
			if !s.Feed([]byte(seq[cut:])) || !s.Done() {
				t.Errorf("%q cut at %d: failed, or not done", seq, cut)
			}
		}
	}
}

func TestTextIsCheckedWithoutAllocation(t *testing.T) {
	a, b := []byte("日本\xe8"), []byte("\xaa\x9e done")
	if n := testing.AllocsPerRun(100, func() {
		var s UTF8Checker
		if !s.Feed(a) || !s.Feed(b) || !s.Done() {
			t.Error("valid text refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzUTF8(f *testing.F) {
	for _, seed := range []string{"", "plain", "κόσμε 日本 😀", "\xed\xa0\x80", "\xf4\x90", "\xe2\x82\x28", "a\xc3"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 64 {
			p = p[:64]
		}
		want := utf8.Valid(p)
		for i := range len(p) + 1 {
			for j := i; j <= len(p); j++ {
				var s UTF8Checker
				got := s.Feed(p[:i]) && s.Feed(p[i:j]) && s.Feed(p[j:]) && s.Done()
				if got != want {
					t.Fatalf("% x cut at %d and %d: %v, want %v", p, i, j, got, want)
				}
			}
			// Whatever is let through can still be completed.
			var s UTF8Checker
			if s.Feed(p[:i]) && !s.Done() && !wiretest.Completable(p[:i]) {
				t.Fatalf("% x was let through", p[:i])
			}
		}
	})
}

func BenchmarkUTF8Feed(b *testing.B) {
	p := []byte(strings.Repeat("plain ascii text ", 1000))
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		var s UTF8Checker
		if !s.Feed(p) {
			b.Fatal("valid text refused")
		}
	}
}
