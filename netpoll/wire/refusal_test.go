package wire

import (
	"strings"
	"testing"
)

func TestARefusalIsOneWholeResponse(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		text   string
		extra  []string
		want   string
	}{
		{"plain", 404, "not found", nil,
			"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\nConnection: close\r\n\r\nnot found\n"},
		{"further fields", 405, "no", []string{"Allow", "GET", "X", "y"},
			"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\nAllow: GET\r\nX: y\r\n\r\nno\n"},
		{"Upgrade is a connection option", 426, "no", []string{"Upgrade", "websocket"},
			"HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\nno\n"},
		{"text stays in the body, on one line", 400, "a\r\n\r\nHTTP/1.1 200 OK\r\nX: y\x00\x7fé", nil,
			"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\nConnection: close\r\n\r\na    HTTP/1.1 200 OK  X: y  é\n"},
		{"a status that refuses nothing", 200, "", nil,
			"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\n"},
		{"a status that is none", 1000, "", nil,
			"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\n"},
	} {
		if got := string(AppendRefusal([]byte("before"), c.status, c.text, c.extra...)); got != "before"+c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, "before"+c.want)
		}
	}
}

func TestARefusalOfHEADHasNoBody(t *testing.T) {
	e := badRequest("no Host header")
	whole := string(e.AppendTo(nil, []byte("GET")))
	head := string(e.AppendTo(nil, []byte("HEAD")))
	if want, found := strings.CutSuffix(whole, "no Host header\n"); !found || head != want {
		t.Errorf("GET gets %q, HEAD %q", whole, head)
	}
	if got := string(e.AppendTo(nil, nil)); got != whole {
		t.Errorf("an unknown method gets %q", got)
	}
}

func TestARefusalIsBuiltWithoutAllocation(t *testing.T) {
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		AppendRefusal(buf, 503, "draining", "Retry-After", "5")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
