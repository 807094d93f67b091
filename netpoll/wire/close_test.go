package wire

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func TestClosePayloadIsTakenApart(t *testing.T) {
	for _, c := range []struct {
		name    string
		payload string
		code    ws.StatusCode
		reason  string
		v       *Violation
	}{
		{"nothing", "", 1005, "", nil},
		{"half a code", "\x03", 0, "", errClosePayload},
		{"code alone", "\x03\xe8", 1000, "", nil},
		{"code and reason", "\x0f\xa1gone – bye", 4001, "gone – bye", nil},
		{"longest reason", "\x03\xe8" + strings.Repeat("r", 123), 1000, strings.Repeat("r", 123), nil},
		{"reason cut within a rune", "\x03\xe8\xe2\x80", 0, "", errCloseReason},
		{"surrogate in the reason", "\x03\xe8\xed\xa0\x80", 0, "", errCloseReason},
		{"bad code before bad reason", "\x03\xed\xff", 0, "", errCloseCode},
	} {
		code, reason, v := ParseClosePayload([]byte(c.payload))
		if code != c.code || reason != c.reason || v != c.v {
			t.Errorf("%s: got %d %q %v, want %d %q %v", c.name, code, reason, v, c.code, c.reason, c.v)
		}
	}
}

func TestOnlyCloseCodesThatMayBeOnTheWireAreTaken(t *testing.T) {
	valid := func(code int) bool {
		switch {
		case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
			return true
		}
		return false
	}
	for code := range 1 << 16 {
		got, _, v := ParseClosePayload(binary.BigEndian.AppendUint16(nil, uint16(code)))
		if (v == nil) != valid(code) {
			t.Errorf("code %d: violation %v", code, v)
		}
		if v == nil && int(got) != code {
			t.Errorf("code %d came out as %d", code, got)
		}
		if v != nil && v.Code != ws.StatusProtocolError {
			t.Errorf("code %d is answered with %d", code, v.Code)
		}
	}
}

func TestAReasonThatIsNotUTF8IsAnsweredWith1007(t *testing.T) {
	if _, _, v := ParseClosePayload([]byte("\x03\xe8\xff")); v == nil || v.Code != 1007 {
		t.Errorf("got %v", v)
	}
}

func TestAReasonIsCutAtARuneBoundary(t *testing.T) {
	x := strings.Repeat("x", 130)
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"fits", x[:123], x[:123]},
		{"a byte too long", x[:124], x[:123]},
		{"two-byte rune across the end", x[:122] + "é", x[:122]},
		{"two-byte rune up to the end", x[:121] + "é" + "x", x[:121] + "é"},
		{"four-byte rune across the end", x[:120] + "😀x", x[:120]},
		{"invalid bytes are replaced", "a\xffb", "a\uFFFDb"},
		{"each of them", "\xff\xfe", "\uFFFD\uFFFD"},
		{"surrogates too", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"a replacement that does not fit", x[:121] + "\xff", x[:121]},
		{"nothing but invalid bytes", strings.Repeat("\xff", 200), strings.Repeat("\uFFFD", 41)},
	} {
		if got := CutReason(c.in); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzClosePayload(f *testing.F) {
	for _, seed := range []string{"", "\x03", "\x03\xe8", "\x03\xe8bye", "\x0f\xa0\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		code, reason, v := ParseClosePayload(p)
		if v == nil && len(p) > 0 {
			if again := binary.BigEndian.AppendUint16(nil, uint16(code)); string(again)+reason != string(p) {
				t.Errorf("% x came out as %d %q", p, code, reason)
			}
			// What gobwas finds fault with must not get by here, 1012 to 1014 apart,
			// which it does not know.
			if err := ws.CheckCloseFrameData(code, reason); err != nil && (code < 1012 || code > 1014) {
				t.Errorf("% x was taken; gobwas: %v", p, err)
			}
		}
		cut := CutReason(string(p))
		if len(cut) > maxReason || !utf8.ValidString(cut) {
			t.Errorf("% x was cut to % x", p, cut)
		}
		if utf8.Valid(p) && !strings.HasPrefix(string(p), cut) {
			t.Errorf("%q became %q", p, cut)
		}
		if utf8.Valid(p) && len(p) > maxReason && len(cut) < maxReason-utf8.UTFMax+1 {
			t.Errorf("%q was cut to only %d bytes", p, len(cut))
		}
	})
}
