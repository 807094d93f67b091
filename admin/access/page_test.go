package access

import (
	"net/http"
	"strings"
	"testing"
)

// What the console's own page may do, and no other page.
func TestOnlyTheConsolesOwnPageIsAnswered(t *testing.T) {
	g := newTestRules(t, "")
	for _, c := range []struct {
		name    string
		from    Place
		who     Audience
		lines   []string
		allowed bool
	}{
		{"our page sends", Loopback, Managers, []string{"Host: localhost:40010", "Origin: http://localhost:40010", "Sec-Fetch-Site: same-origin"}, true},
		{"our page reads", Loopback, Managers, []string{"Host: 127.0.0.1:40010", "Sec-Fetch-Site: same-origin"}, true},
		{"our page under IPv6", Loopback, Managers, []string{"Host: [::1]:40010", "Origin: http://[::1]:40010"}, true},
		{"our page through a tunnel", Loopback, Managers, []string{"Host: localhost:9", "Origin: http://localhost:9"}, true},
		{"somebody typed the address", Loopback, Managers, []string{"Host: localhost", "Sec-Fetch-Site: none"}, true},
		{"a link to the console", Loopback, Browsers, []string{"Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, true},

		{"another port of this host", Loopback, Managers, []string{"Host: localhost:40010", "Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"}, false},
		{"another name of this host", Loopback, Managers, []string{"Host: 127.0.0.1:40010", "Origin: http://localhost:40010"}, false},
		{"another scheme", Loopback, Managers, []string{"Host: localhost:40010", "Origin: https://localhost:40010"}, false},
		{"another page", Loopback, Managers, []string{"Host: localhost:40010", "Origin: https://example.org", "Sec-Fetch-Site: cross-site"}, false},
		{"a page without an origin", Loopback, Managers, []string{"Host: localhost:40010", "Origin: null"}, false},
		{"two origins", Loopback, Managers, []string{"Host: localhost:40010", "Origin: http://localhost:40010", "Origin: https://example.org"}, false},
		{"an image on another page", Loopback, Managers, []string{"Host: localhost:40010", "Sec-Fetch-Site: cross-site"}, false},
		{"an image on another port", Loopback, Managers, []string{"Host: localhost:40010", "Sec-Fetch-Site: same-site"}, false},
		{"a page that was rebound", Loopback, Managers, []string{"Host: example.org:40010", "Origin: http://example.org:40010", "Sec-Fetch-Site: same-origin"}, false},
		{"a rebound page reads", Loopback, Managers, []string{"Host: example.org:40010", "Sec-Fetch-Site: same-origin"}, false},
		{"a rebound page loads the console", Loopback, Browsers, []string{"Host: example.org:40010"}, false},
		{"our page behind a proxy", Loopback, Managers, []string{"Host: localhost:40010", "Origin: http://localhost:40010", "X-Forwarded-For: 203.0.113.7"}, false},
		{"a page behind an address that others reach", Loopback, Managers, []string{"Host: 10.1.2.3:40010", "Origin: http://10.1.2.3:40010"}, false},
		{"our page from afar", Remote, Managers, []string{"Host: localhost:40010", "Origin: http://localhost:40010"}, false},
		{"the console from afar", Remote, Browsers, []string{"Host: localhost:40010"}, false},
		{"the console through a proxy", Loopback, Browsers, []string{"Host: localhost", "X-Bfl-User: alice"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if no := g.Check(head(t, c.lines...), c.from, c.who); (no.Status == 0) != c.allowed {
				t.Errorf("%d %s", no.Status, no.Why)
			} else if !c.allowed && no.Status != http.StatusForbidden {
				t.Errorf("status %d", no.Status)
			}
		})
	}
}

func TestAForeignRefererIsAWebPages(t *testing.T) {
	g := newTestRules(t, "")
	for _, c := range []struct {
		host, referer string
		who           Audience
		allowed       bool
	}{
		{"localhost:40010", "http://localhost:40010/console/", Managers, true},
		{"127.0.0.1:40010", "http://127.0.0.1:40010/", Managers, true},
		{"[::1]:40010", "http://[::1]:40010/console/main.js", Managers, true},
		{"localhost", "https://wiki.example/page", Browsers, true}, // a link
		{"localhost:40010", "https://evil.example/", Managers, false},
		{"localhost:40010", "http://localhost:3000/", Managers, false},
		{"localhost:40010", "http://localhost:40010.evil.example/", Managers, false},
		{"localhost:40010", "http://localhost:40010", Managers, false},
		{"localhost:40010", "http://localhost:400100/", Managers, false},
		{"localhost:40010", "https://localhost:40010/", Managers, false},
		{"127.0.0.1:40010", "http://localhost:40010/", Managers, false},
		{"10.1.2.3:40010", "http://10.1.2.3:40010/", Managers, false},
		{"localhost:40010", "", Managers, false},
		{"localhost:40010", "about:client", Managers, false},
	} {
		no := g.Check(head(t, "Host: "+c.host, "Referer: "+c.referer), Loopback, c.who)
		if (no.Status == 0) != c.allowed || !c.allowed && (no.Status != 403 || !strings.Contains(no.Why, "Referer")) {
			t.Errorf("%s asks %s %d: %+v", c.referer, c.host, c.who, no)
		}
	}
}
