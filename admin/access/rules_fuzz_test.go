package access

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// FuzzRules checks with another parser that a request which is let in without a token has
// nothing that the rules refuse.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{
		"Host: localhost", "Host: 127.0.0.1:40010\r\nAccept: */*", "Host: [::1]:1", "Host: evil.test", "Host: localhost\r\nX-Forwarded-For: x",
		"Host: localhost\r\nx_forwarded_for: x", "Host: localhost\r\nOrigin : x", "Host: localhost\r\nA: b\r\n Origin: x", "Host: localhost\r\nHost: evil.test",
		"Host: localhost:1\r\nOrigin: http://localhost:1", "Host: localhost:1\r\nOrigin: http://localhost:1\r\nOrigin: http://evil.test", "Host: localhost\r\nSec-Fetch-Site: cross-site", "Host: 10.0.0.1\r\nOrigin: http://10.0.0.1",
		"Host: localhost\nVia: x", "Host: localhost\r\n\tX-Bfl-User: x", "Host: localhost.", "Host: 1", "Host: localhost:", "Host:", "Host: 127.0.0.1@evil.test",
		"Host: localhost\r\nConnection: upgrade", "Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", "Host: localhost:1\r\nReferer: http://localhost:1/", "Host: localhost\r\nConnection: close\r\nUpgrade: x",
	} {
		f.Add([]byte(seed))
	}
	g, err := New(Config{UserHeader: "X-Bfl-User"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		raw := []byte("GET /tapr/ws/conn/list HTTP/1.1\r\n" + string(lines) + "\r\n\r\n")
		var h fasthttp.RequestHeader
		if h.Read(bufio.NewReader(bytes.NewReader(raw))) != nil {
			return
		}
		if r := g.Check(&h, Remote, Managers); r.Status == 0 {
			t.Fatalf("%q is answered from afar", raw)
		}
		if r := g.Check(&h, Loopback, Managers); r.Status != 0 {
			if r.Status < 400 || r.Why == "" {
				t.Fatalf("%q: %+v", raw, r)
			}
			return
		}
		q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		for name := range q.Header {
			if name = strings.ToLower(name); strings.HasPrefix(name, "x-forwarded-") || name == "forwarded" || name == "x-real-ip" || name == "via" || strings.HasPrefix(name, "cf-") || name == "x-client-ip" || name == "x-bfl-user" {
				t.Fatalf("%q is let through with %s", raw, name)
			}
			for _, value := range q.Header.Values(name) {
				if name == "connection" && hasToken([]byte(value), "upgrade") && !strings.EqualFold(strings.Join(q.Header.Values("Upgrade"), ","), "h2c") || name == "upgrade" && !strings.EqualFold(value, "h2c") {
					t.Fatalf("%q is let through with %s %s", raw, name, value)
				}
				if name == "referer" && !strings.HasPrefix(value, "http://"+q.Host+"/") || name == "origin" && value != "http://"+q.Host || name == "sec-fetch-site" && value != "same-origin" && value != "none" {
					t.Fatalf("%q is let through with %s %s", raw, name, value)
				}
			}
		}
		if !harmlessHost(q.Host) {
			t.Fatalf("%q is let through with the host %q", raw, q.Host)
		}
	})
}

// harmlessHost reports whether host is an address or localhost.
func harmlessHost(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" && !addrOf(host).IsValid() {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	return strings.EqualFold(host, "localhost") || addrOf(strings.Trim(host, "[]")).IsValid()
}

func addrOf(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}
