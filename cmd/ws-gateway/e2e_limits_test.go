package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// metric returns the value of a series such as `ws_gateway_connections`.
func (g *gateway) metric(t testing.TB, series string) float64 {
	t.Helper()
	a := g.get("/metrics")
	for line := range strings.Lines(a.body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("%s: %v", series, err)
			}
			return n
		}
	}
	t.Fatalf("there is no metric %s: status %d", series, a.status)
	return 0
}

// awaitMetric waits until a series has reached a value.
func (g *gateway) awaitMetric(t testing.TB, series string, least float64) {
	t.Helper()
	poll(t, fmt.Sprintf("%s to reach %v", series, least), func() bool { return g.metric(t, series) >= least })
}

func TestOnlyTrustedProxiesSayWhoTheClientIs(t *testing.T) {
	t.Parallel()
	const claim = "203.0.113.7"
	for _, test := range []struct {
		name    string
		args    []string
		header  map[string]string
		claimed bool
	}{
		{"nobody is trusted", nil, map[string]string{"X-Forwarded-For": claim}, false},
		{"others are trusted", []string{"--trusted-proxies", "192.0.2.0/24"}, map[string]string{"X-Forwarded-For": claim}, false},
		{"loopback is trusted", []string{"--trusted-proxies", "192.0.2.1,127.0.0.0/8"}, map[string]string{"X-Forwarded-For": "1.2.3.4, " + claim}, true},
		{"the standard's header", []string{"--trusted-proxies", "127.0.0.1"}, map[string]string{"Forwarded": `for=1.2.3.4, for="` + claim + `"`}, true},
		{"two headers that differ", []string{"--trusted-proxies", "127.0.0.1"}, map[string]string{"Forwarded": "for=1.2.3.4", "X-Forwarded-For": claim}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			g := startGateway(t, app, test.args...)
			c := g.connect(t, visitor{user: "alice", header: test.header})
			want := c.local()
			if test.claimed {
				want = claim
			}
			open := app.awaitCall("open", func(c *call) bool { return c.is("open", "alice") })
			if got := open.event.Request.RemoteAddr; got != want {
				t.Errorf("the open event says %q, want %q", got, want)
			}
			if users, _ := g.list(""); len(users["alice"]) != 1 || users["alice"][0].RemoteAddr != want {
				t.Errorf("the list says %+v, want %q", users, want)
			}
		})
	}
}

func TestAProxyThatIsTrustedForItsClientsIsNoTrustedManager(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--trusted-proxies", "127.0.0.1")
	if a := g.get(listPath, "X-Forwarded-For: 127.0.0.1"); a.status != http.StatusForbidden {
		t.Errorf("a request that was passed on was answered with %d", a.status)
	}
	if a := g.get(listPath); a.status != http.StatusOK {
		t.Errorf("the app's own request was answered with %d", a.status)
	}
}
