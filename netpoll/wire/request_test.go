package wire

import (
	"slices"
	"strings"
	"testing"
)

// requestOf parses lines as a request; the test fails if they are not one.
func requestOf(t testing.TB, lines ...string) *Request {
	t.Helper()
	var r Request
	if err := ParseHead([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), &r); err != nil {
		t.Fatalf("%q: %s", lines, err)
	}
	return &r
}

func TestFieldsAreFoundInAnyCase(t *testing.T) {
	r := requestOf(t, "GET / HTTP/1.1", "Host: x", "X-User: a", "x-uSER: b", "X-User-: c", "X_User: d")
	for _, c := range []struct {
		name, value string
		count       int
	}{
		{"x-user", "a", 2}, {"X-USER", "a", 2}, {"X-Use", "", 0}, {"X-User-", "c", 1}, {"x_user", "d", 1}, {"", "", 0},
	} {
		if v, n := r.Get(c.name); string(v) != c.value || n != c.count {
			t.Errorf("%s: got %q, %d; want %q, %d", c.name, v, n, c.value, c.count)
		}
	}
}

func TestOnlyLettersAreFolded(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			want := strings.EqualFold(string([]byte{byte(a)}), string([]byte{byte(b)})) && a < 0x80 && b < 0x80 || a == b
			if got := equalFold([]byte{byte(a)}, string([]byte{byte(b)})); got != want {
				t.Errorf("0x%02x and 0x%02x: %v", a, b, got)
			}
		}
	}
}

func TestSubprotocolsComeInTheOrderOfTheOffer(t *testing.T) {
	r := requestOf(t, "GET / HTTP/1.1", "Host: x", "Sec-WebSocket-Protocol: a,b ,\tc", "Other: z", "sec-websocket-protocol: , d,,")
	var got []string
	r.EachSubprotocol(func(name []byte) bool {
		got = append(got, string(name))
		return false
	})
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = nil
	r.EachSubprotocol(func(name []byte) bool {
		got = append(got, string(name))
		return string(name) == "b"
	})
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("stopped at b: got %q, want %q", got, want)
	}
}

func TestListElementsAreComparedWhole(t *testing.T) {
	r := requestOf(t, "GET / HTTP/1.1", "Host: x", "Connection: keep-alive,UpGrade", "Upgrade: websocket2", "Upgrade: h2c, web")
	for _, c := range []struct {
		name, element string
		want          bool
	}{
		{"Connection", "upgrade", true}, {"connection", "keep-alive", true}, {"Connection", "keep", false},
		{"Upgrade", "websocket", false}, {"Upgrade", "h2c", true}, {"Absent", "upgrade", false},
	} {
		if got := r.hasElement(c.name, c.element); got != c.want {
			t.Errorf("%s has %s: %v", c.name, c.element, got)
		}
	}
}
