package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// asks sends a head, to which Host is added unless it has one or is of HTTP/1.0,
// and returns the status and the answer.
func (g *gateway) asks(t *testing.T, head ...string) (int, string) {
	t.Helper()
	r := g.raw(t)
	defer r.Close()
	r.say(strings.Join(head, "\r\n") + "\r\n\r\n")
	response, body := r.response()
	return response.StatusCode, body
}

// What the obvious proxy on this host passes on for a stranger, as it comes here.
func TestWhatAProxyOnThisHostPassesOnIsNotTakenForTheApps(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	host := "Host: " + g.Addr
	for name, lines := range map[string][]string{
		"nginx, its recipe for WebSockets":       {"HTTP/1.1", host, "Connection: upgrade"},
		"the same with a capital":                {"HTTP/1.1", host, "Connection: Upgrade"},
		"the stranger asks for an upgrade":       {"HTTP/1.1", host, "Upgrade: websocket", "Connection: upgrade"},
		"for another one":                        {"HTTP/1.1", host, "Upgrade: h2c", "Connection: upgrade", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"},
		"an Upgrade alone":                       {"HTTP/1.1", host, "Upgrade: websocket"},
		"nginx, nothing but proxy_pass":          {"HTTP/1.0", host, "Connection: close"},
		"an identity that nginx leaves out":      {"HTTP/1.1", host, "X-Bfl-User:"},
		"Envoy":                                  {"HTTP/1.1", host, "X-Envoy-Expected-Rq-Timeout-Ms: 15000"},
		"a tunnel of Cloudflare":                 {"HTTP/1.1", host, "CF-Ray: 1"},
		"a queue's clock":                        {"HTTP/1.1", host, "X-Request-Start: t=1"},
		"ingress-nginx":                          {"HTTP/1.1", host, "X-Original-Forwarded-For: 192.0.2.1"},
		"a page that links to what nobody shows": {"HTTP/1.1", host, "Referer: https://evil.example/"},
	} {
		for _, target := range []string{"GET " + listPath, "POST " + closePath, "GET /tapr/ws/conn/events", "GET /metrics", "GET /tapr/ws/config"} {
			head := append([]string{target + " " + lines[0], "Content-Length: 0"}, lines[1:]...)
			if status, body := g.asks(t, head...); status != http.StatusForbidden || !strings.Contains(body, "admin token") {
				t.Errorf("%s: %s answers %d %s", name, target, status, body)
			}
		}
		if status, body := g.asks(t, append([]string{"GET /readyz " + lines[0]}, lines[1:]...)...); status != http.StatusOK {
			t.Errorf("%s: /readyz answers %d %s, and it answers anybody", name, status, body)
		}
	}
}

func TestAppsWhoseClientsLookLikeAProxysAreStillAnswered(t *testing.T) {
	t.Parallel()
	shared := startPushOnly(t)
	host := "Host: " + shared.Addr
	for name, head := range map[string][]string{
		"HTTP/1.0 by hand":     {"GET " + listPath + " HTTP/1.0"},
		"ab and curl -0":       {"GET " + listPath + " HTTP/1.0", host, "Accept: */*"},
		"one call each":        {"GET " + listPath + " HTTP/1.1", host, "Connection: close"},
		"Java and curl, HTTP2": {"GET " + listPath + " HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", host, "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c"},
		"traced":               {"GET " + listPath + " HTTP/1.1", host, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-Id: 1", "X-Amzn-Trace-Id: Root=1"},
		"the console's page":   {"GET " + listPath + " HTTP/1.1", host, "Referer: http://" + shared.Addr + "/console/", "Sec-Fetch-Site: same-origin"},
	} {
		if status, body := shared.asks(t, head...); status != http.StatusOK {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// An address of its own is for those whom the shared port must mistake.
	own := startPushOnly(t, "--admin-listen", "127.0.0.1:0")
	own.Addr = own.Ready.Text("admin")
	host = "Host: " + own.Addr
	for name, head := range map[string][]string{
		"Java, Apache's client": {"GET " + listPath + " HTTP/1.1", host, "Upgrade: TLS/1.2", "Connection: Upgrade"},
		"PHP 7":                 {"GET " + listPath + " HTTP/1.0", host, "Connection: close"},
	} {
		if status, body := own.asks(t, head...); status != http.StatusOK {
			t.Errorf("%s at an address of its own: %d %s", name, status, body)
		}
	}
	if status, _ := own.asks(t, "GET "+listPath+" HTTP/1.1", host, "X-Forwarded-For: 192.0.2.1"); status != http.StatusForbidden {
		t.Errorf("what a proxy passes on to an address of its own: %d", status)
	}
	socket := filepath.Join(t.TempDir(), "s")
	local := startPushOnly(t, "--admin-listen", "unix:"+socket)
	local.onlyAt(t, "http://localhost", socket)
}
