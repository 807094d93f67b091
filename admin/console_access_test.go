package admin

import (
	"net/http"
	"strings"
	"testing"
)

// What the console's own page may do, and no other page.
func TestOnlyTheConsolesOwnPageIsAnswered(t *testing.T) {
	g := newTestGuard(t, "")
	for _, c := range []struct {
		name    string
		from    peer
		r       *route
		lines   []string
		allowed bool
	}{
		{"our page sends", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: http://localhost:40010", "Sec-Fetch-Site: same-origin"}, true},
		{"our page reads", loopbackPeer, routeNamed("list"), []string{"Host: 127.0.0.1:40010", "Sec-Fetch-Site: same-origin"}, true},
		{"our page under IPv6", loopbackPeer, routeNamed("send"), []string{"Host: [::1]:40010", "Origin: http://[::1]:40010"}, true},
		{"our page through a tunnel", loopbackPeer, routeNamed("send"), []string{"Host: localhost:9", "Origin: http://localhost:9"}, true},
		{"somebody typed the address", loopbackPeer, routeNamed("metrics"), []string{"Host: localhost", "Sec-Fetch-Site: none"}, true},
		{"a link to the console", loopbackPeer, routeNamed("console"), []string{"Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, true},

		{"another port of this host", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"}, false},
		{"another name of this host", loopbackPeer, routeNamed("send"), []string{"Host: 127.0.0.1:40010", "Origin: http://localhost:40010"}, false},
		{"another scheme", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: https://localhost:40010"}, false},
		{"another page", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: https://example.org", "Sec-Fetch-Site: cross-site"}, false},
		{"a page without an origin", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: null"}, false},
		{"two origins", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: http://localhost:40010", "Origin: https://example.org"}, false},
		{"an image on another page", loopbackPeer, routeNamed("metrics"), []string{"Host: localhost:40010", "Sec-Fetch-Site: cross-site"}, false},
		{"an image on another port", loopbackPeer, routeNamed("list"), []string{"Host: localhost:40010", "Sec-Fetch-Site: same-site"}, false},
		{"a page that was rebound", loopbackPeer, routeNamed("send"), []string{"Host: example.org:40010", "Origin: http://example.org:40010", "Sec-Fetch-Site: same-origin"}, false},
		{"a rebound page reads", loopbackPeer, routeNamed("list"), []string{"Host: example.org:40010", "Sec-Fetch-Site: same-origin"}, false},
		{"a rebound page loads the console", loopbackPeer, routeNamed("console"), []string{"Host: example.org:40010"}, false},
		{"our page behind a proxy", loopbackPeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: http://localhost:40010", "X-Forwarded-For: 203.0.113.7"}, false},
		{"a page behind an address that others reach", loopbackPeer, routeNamed("send"), []string{"Host: 10.1.2.3:40010", "Origin: http://10.1.2.3:40010"}, false},
		{"our page from afar", remotePeer, routeNamed("send"), []string{"Host: localhost:40010", "Origin: http://localhost:40010"}, false},
		{"the console from afar", remotePeer, routeNamed("console"), []string{"Host: localhost:40010"}, false},
		{"the console through a proxy", loopbackPeer, routeNamed("console"), []string{"Host: localhost", "X-Bfl-User: alice"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if no := g.check(head(t, c.lines...), c.from, c.r); (no.status == 0) != c.allowed {
				t.Errorf("%d %s", no.status, no.why)
			} else if !c.allowed && no.status != http.StatusForbidden {
				t.Errorf("status %d", no.status)
			}
		})
	}
}

func TestWithATokenOnlyThePageItselfIsServedWithoutIt(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Token = "right" })
	for _, path := range []string{"/console/", "/console/main.js"} {
		if got := r.do("GET", path, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for _, path := range []string{"/tapr/ws/conn/events", "/tapr/ws/status", "/tapr/ws/config", "/metrics", "/tapr/ws/conn/list"} {
		if got := r.do("GET", path, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := r.do("GET", "/tapr/ws/status", "", "Authorization: Bearer right", "Origin: http://"+r.addr); got.status != http.StatusOK {
		t.Errorf("with the token: %d %s", got.status, got.body)
	}
}

func TestAPreflightIsNeverAnswered(t *testing.T) {
	for _, token := range []string{"", "right"} {
		r := newRig(t, func(cfg *Config) { cfg.Token = token })
		for _, path := range []string{"/tapr/ws/conn/send", "/console/"} {
			got := r.do("OPTIONS", path, "", "Origin: https://example.org", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
			if got.status < 400 {
				t.Errorf("%s: %d", path, got.status)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", path, name)
				}
			}
		}
	}
}
