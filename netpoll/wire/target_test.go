package wire

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func TestATargetIsTakenApartAndNeverNormalised(t *testing.T) {
	for _, c := range []struct{ target, authority, path, origin string }{
		{"/", "", "/", "/"},
		{"/ws?room=1", "", "/ws", "/ws?room=1"},
		{"//h/ws", "", "//h/ws", "//h/ws"},
		{"/ws/../tapr/%77s?", "", "/ws/../tapr/%77s", "/ws/../tapr/%77s?"},
		{"/http://h/ws", "", "/http://h/ws", "/http://h/ws"},
		{"http://h/ws", "h", "/ws", "/ws"},
		{"HTTP://h:80/ws?a=http://b/?c", "h:80", "/ws", "/ws?a=http://b/?c"},
		{"http://[::1]:40010/ws", "[::1]:40010", "/ws", "/ws"},
		{"http://h:/ws", "h:", "/ws", "/ws"},
		{"http://h/ws/../tapr", "h", "/ws/../tapr", "/ws/../tapr"},
		{"http://h//ws", "h", "//ws", "//ws"},
		{"http://h", "h", "/", "/"},
		{"http://h?x", "h", "/", "/?x"},
		{"http://h?", "h", "/", "/?"},
	} {
		got, err := ParseTarget([]byte("GET"), []byte(c.target))
		if err != nil || string(got.Authority) != c.authority || string(got.Path) != c.path || string(got.Origin) != c.origin {
			t.Errorf("%s: %q %q %q, %v", c.target, got.Authority, got.Path, got.Origin, err)
		}
	}
}

func TestATargetOfAnotherFormIsAnsweredClearly(t *testing.T) {
	for target, text := range map[string]string{
		"https://h/ws":     "https://: TLS ends in front",
		"HTTPS://h/ws":     "https://: TLS ends in front",
		"ws://h/ws":        `"ws" for a scheme: only http`,
		"ftp://h/ws":       `"ftp" for a scheme`,
		"http://u@h/ws":    "user name",
		"http://u:p@h/ws":  "user name",
		"http://@h/ws":     "user name",
		"http:///ws":       "empty host",
		"http://":          "empty host",
		"http://?x":        "empty host",
		"http://:80/ws":    "empty host",
		"http://h:x/ws":    "bad host",
		"http://h:1:2/ws":  "bad host",
		"http://h#x":       "bad host",
		"http://[::1/ws":   "bad host",
		"http://::1]/ws":   "empty host",
		"http://[]/ws":     "bad host",
		"http://x[::1]/ws": "bad host",
		"http://[::1]x/ws": "bad host",
		"http://h\\ws":     "bad host",
		"http:/ws":         "neither a path",
		"http:ws":          "neither a path",
		"://h/ws":          "neither a path",
		"a b://h":          "neither a path",
		"h:80":             "neither a path",
		"ws":               "neither a path",
		"*":                "server as a whole",
		"?x":               "neither a path",
		"*/ws":             "neither a path",
	} {
		if _, err := ParseTarget([]byte("GET"), []byte(target)); err == nil || err.Status != 400 || !strings.Contains(err.Text, text) {
			t.Errorf("%s: %v, want %s", target, err, text)
		}
	}
	if _, err := ParseTarget([]byte("CONNECT"), []byte("h:80")); err == nil || !strings.Contains(err.Text, "proxies") {
		t.Errorf("CONNECT: %v", err)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, target := range []string{"/ws?x", "http://h/ws", "http://[::1]:1?x", "*", "h:1", "http://u@h/", "https://h/"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, refused := ParseTarget([]byte("GET"), []byte(target))
		if refused != nil {
			return
		}
		if got.Path[0] != '/' || !bytes.HasPrefix(got.Origin, got.Path) || bytes.IndexByte(got.Path, '?') >= 0 {
			t.Fatalf("%q: path %q of %q", target, got.Path, got.Origin)
		}
		if got.Authority == nil {
			if string(got.Origin) != target {
				t.Fatalf("%q has become %q", target, got.Origin)
			}
			return
		}
		u, err := url.Parse(target)
		if err != nil {
			return // net/url looks at percent signs and ports, we do not
		}
		if u.Host != string(got.Authority) || u.User != nil || !strings.EqualFold(u.Scheme, "http") {
			t.Fatalf("%q: authority %q, net/url has %q", target, got.Authority, u.Host)
		}
	})
}

func TestAnotherProtocolIsNamedAsSoonAsItShows(t *testing.T) {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
	for _, c := range []struct {
		in, text string
		from     int // bytes from which on it is known
	}{
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /ws HTTP/1.1\r\n", "PROXY protocol is not spoken here", len("PROXY TCP4")},
		{"PROXY TCP6 ::1 ::1 1 2\r\n", "PROXY protocol", len("PROXY TCP6")},
		{"PROXY UNKNOWN\r\n", "PROXY protocol", len("PROXY UNKNOWN")},
		{v2, "PROXY protocol", len("\r\n\r\n\x00")},
		{"\x16\x03\x01", "TLS must end in front", 1},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken here", len("PRI * HTTP/2.0")},
		{"PROXY /ws HTTP/1.1\r\n", "", 0},
		{"PRI /ws HTTP/1.1\r\n", "", 0},
		{"POST / HTTP/1.1\r\n", "", 0},
		{"\r\nGET / HTTP/1.1\r\n", "", 0},
		{"\r\n\r\n", "", 0},
	} {
		for n := 1; n <= len(c.in); n++ {
			err := Mistaken([]byte(c.in[:n]))
			if known := c.text != "" && n >= c.from; known != (err != nil) || known && !strings.Contains(err.Text, c.text) {
				t.Errorf("%q: %v", c.in[:n], err)
			}
		}
	}
}
