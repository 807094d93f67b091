package headers

import (
	"strings"
	"testing"
	"unsafe"
)

func TestPackedHeadersComeApartAsTheyWere(t *testing.T) {
	for _, cookie := range []string{"", "a=b; c", "a=\xe9", "evil\r\nX: 1\x00"} {
		for n := range 3 {
			fields := []Field{{"X-Tenant", "blue"}, {"Accept-Language", "de;\nq=1\r"}}[:n]
			got, lines := Unpack(Pack(cookie, fields))
			want := strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(cookie)
			wantLines := strings.Join([]string{"", "X-Tenant: blue\r\n", "Accept-Language: de; q=1 \r\n"}[:n+1], "")
			if got != want || lines != wantLines {
				t.Errorf("%q, %d fields: %q, %q; want %q, %q", cookie, n, got, lines, want, wantLines)
			}
		}
	}
}

func TestACookieAloneTakesNoMemoryOfItsOwn(t *testing.T) {
	cookie := strings.Clone("session=1")
	packed := Pack(cookie, nil)
	if unsafe.StringData(packed) != unsafe.StringData(cookie) {
		t.Error("the cookie was copied")
	}
}

func FuzzPackedHeadersStayWithinTheirLines(f *testing.F) {
	f.Add("a=b", "v\r\nX-Evil: 1")
	f.Fuzz(func(t *testing.T, cookie, value string) {
		_, lines := Unpack(Pack(cookie, []Field{{"X-A", value}}))
		body, ok := strings.CutSuffix(lines, "\r\n")
		if !ok || !strings.HasPrefix(body, "X-A: ") || strings.ContainsAny(body, "\r\n\x00") {
			t.Errorf("%q", lines)
		}
	})
}
