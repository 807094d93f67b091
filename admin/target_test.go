package admin

import (
	"net"
	"strings"
	"testing"
)

func TestTheAuthorityOfATargetAndTheHostHeaderMustBothBeOurs(t *testing.T) {
	r := newRig(t)
	const list = "/tapr/ws/conn/list"
	for _, c := range []struct {
		target, host, origin string
		status               int
		part                 string
	}{
		{"http://127.0.0.1" + list, "localhost", "", 200, emptyList},
		{"http://[::1]:1" + list, "127.0.0.1:2", "", 200, emptyList},
		{"HTTP://LOCALHOST" + list + "?user=x", "10.0.0.1", "", 200, emptyList},
		{"http://evil.example" + list, "localhost", "", 403, "request target names a host"},
		{"http://localhost" + list, "evil.example", "", 403, "header Host"},
		{"http://localhost.evil.example" + list, "localhost", "", 403, "request target names a host"},
		{"http://localhost" + list, "localhost", "http://localhost", 200, emptyList},
		{"http://127.0.0.1" + list, "localhost", "http://localhost", 403, "Origin"},
		{"http://localhost" + list, "127.0.0.1", "http://localhost", 403, "Origin"},
		{"https://localhost" + list, "localhost", "", 400, "https://"},
		{"http://u:p@localhost" + list, "localhost", "", 400, "user name"},
		{"http://" + list, "localhost", "", 400, "empty host"},
		{"*", "localhost", "", 400, "server as a whole"},
		{"localhost:80", "localhost", "", 400, "neither a path"},
		{"http://evil.example/healthz", "localhost", "", 200, "ok"},
	} {
		request := "GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n"
		if c.origin != "" {
			request += "Origin: " + c.origin + "\r\n"
		}
		got := r.wire().write(request + "\r\n").read("GET")
		if got.status != c.status || !strings.Contains(got.body, c.part) {
			t.Errorf("%s for %s of %q answered %d %s, want %d %s", c.target, c.host, c.origin, got.status, got.body, c.status, c.part)
		}
	}
	const token = "a-token-of-some-length"
	guarded := newRig(t, func(cfg *Config) { cfg.Token = token })
	got := guarded.wire().write("GET http://gateway.example" + list + " HTTP/1.1\r\nHost: other\r\nAuthorization: Bearer " + token + "\r\n\r\n").read("GET")
	if got.status != 200 {
		t.Errorf("with the token: %d %s", got.status, got.body)
	}
}

// On a listener of its own, fasthttp is the first to read.
func TestAnotherProtocolOnTheManagementListenerIsNamed(t *testing.T) {
	r := newRig(t)
	for start, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r\n": "PROXY protocol is not spoken here",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c":     "PROXY protocol is not spoken here",
		"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n":   "TLS must end in front",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":           "HTTP/2 is not spoken here",
		"nonsense\r\n\r\n":                           "the request is malformed",
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.serve(ln)
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(t, c).write(start)
		c.(*net.TCPConn).CloseWrite()
		if got := w.read("GET"); !strings.Contains(got.body, want) {
			t.Errorf("%q answered %d %s, want %s", start, got.status, got.body, want)
		}
	}
}
