package access

import (
	"bufio"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// request parses a whole head.
func request(t *testing.T, lines ...string) *fasthttp.RequestHeader {
	t.Helper()
	h := new(fasthttp.RequestHeader)
	raw := strings.Join(lines, "\r\n") + "\r\n\r\n"
	if err := h.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		t.Fatalf("parsing %q: %v", raw, err)
	}
	return h
}

func TestEveryHeaderThatOnlyProxiesAddIsEvidence(t *testing.T) {
	g := newTestRules(t, "")
	for _, name := range []string{
		"Forwarded", "X-Forwarded", "X-Forwarded-For", "x-forwarded-client-cert", "X-FORWARDED-PREFIX", "X-Real-IP", "Via", "Max-Forwards", "CDN-Loop",
		"True-Client-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-ProxyUser-Ip", "Proxy-Client-IP", "WL-Proxy-Client-IP",
		"X-Request-Start", "X-Queue-Start", "X-Envoy-External-Address", "x-envoy-attempt-count", "CF-Connecting-IP", "cf-ray", "CloudFront-Viewer-Address",
		"Fastly-Client-IP", "X-Azure-ClientIP", "X-Original-URI", "X-Original-Forwarded-For", "X-Rewrite-URL", "X-ARR-LOG-ID", "X-AppEngine-User-IP",
		"X-Varnish", "Front-End-Https", "Surrogate-Capability", "Tailscale-User-Login", "X-Bfl-User", "x-bfl-USER",
	} {
		for _, value := range []string{": x", ":", ": "} {
			for _, who := range []Audience{Managers, Browsers} {
				if no := g.Check(head(t, "Host: localhost", name+value), Loopback, who); no.Status != 403 || !strings.Contains(no.Why, "proxy") {
					t.Errorf("%s%s for %d: %+v", name, value, who, no)
				}
			}
		}
	}
}

func TestWhatAppsAndTheirInstrumentationSendIsNot(t *testing.T) {
	g := newTestRules(t, "")
	for name, lines := range map[string][]string{
		"Go":                   {"POST /tapr/ws/conn/send HTTP/1.1", "Host: 127.0.0.1:40010", "User-Agent: Go-http-client/1.1", "Content-Length: 2", "Accept-Encoding: gzip"},
		"curl":                 {"GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010", "User-Agent: curl/8.5.0", "Accept: */*"},
		"curl, HTTP/1.0":       {"GET /tapr/ws/conn/list HTTP/1.0", "Host: 127.0.0.1:40010", "User-Agent: curl/8.5.0", "Accept: */*"},
		"ab":                   {"GET /tapr/ws/conn/list HTTP/1.0", "Host: 127.0.0.1:40010", "User-Agent: ApacheBench/2.3", "Accept: */*"},
		"ab -k":                {"GET /tapr/ws/conn/list HTTP/1.0", "Connection: Keep-Alive", "Host: 127.0.0.1:40010", "User-Agent: ApacheBench/2.3"},
		"by hand":              {"GET /tapr/ws/conn/list HTTP/1.0"},
		"by hand, to be ended": {"GET /tapr/ws/conn/list HTTP/1.0", "Connection: close"},
		"PHP 8":                {"GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010", "Connection: close"},
		"Python's urllib":      {"POST /tapr/ws/conn/send HTTP/1.1", "Accept-Encoding: identity", "Content-Length: 2", "Host: 127.0.0.1:40010", "User-Agent: Python-urllib/3.12", "Connection: close"},
		"Node's fetch":         {"POST /tapr/ws/conn/send HTTP/1.1", "host: 127.0.0.1:40010", "connection: keep-alive", "content-type: text/plain;charset=UTF-8", "accept: */*", "accept-language: *", "sec-fetch-mode: cors", "user-agent: node", "accept-encoding: gzip, deflate", "content-length: 2"},
		"Java's HttpClient":    {"POST /tapr/ws/conn/send HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Content-Length: 2", "Host: 127.0.0.1:40010", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA", "Upgrade: h2c", "User-Agent: Java-http-client/21.0.2"},
		"curl --http2":         {"GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010", "User-Agent: curl/8.5.0", "Accept: */*", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"},
		"traces":               {"GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-Id: 1", "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793", "X-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7", "X-Cloud-Trace-Context: 1/2;o=1"},
		"names like ours":      {"GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010", "X-Bfl-Users: a", "Cf: a", "X-Originals: a", "Viaduct: a", "X-A-Header-Name-That-Is-Long: a"},
	} {
		h := request(t, lines...)
		if no := g.Check(h, Loopback, Managers); no.Status != 0 {
			t.Errorf("%s: %+v", name, no)
		}
	}
}

// What nginx passes on, with the two recipes for WebSockets in its manual and without one.
// The stranger chooses the client's own headers, such as Upgrade if the recipe passes it on.
func TestAProxyThatIsSetUpForWebSocketsIsToldByWhatItAdds(t *testing.T) {
	const get, host = "GET /tapr/ws/conn/list HTTP/1.1", "Host: 127.0.0.1:40010"
	for name, lines := range map[string][]string{
		"nginx":                           {get, host, "Connection: upgrade", "Accept: */*"},
		"in other letters":                {get, host, "cONNECTION: uPGRADE"},
		"in a list":                       {get, host, "Connection: keep-alive ,\tUpgrade"},
		"in a second line":                {get, host, "Connection: keep-alive", "Connection: Upgrade"},
		"beside close":                    {get, host, "Connection: upgrade, close"},
		"the stranger offers WebSocket":   {get, host, "Upgrade: websocket", "Connection: upgrade"},
		"the stranger offers HTTP/2":      {get, host, "Upgrade: h2c", "Connection: upgrade", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"},
		"the stranger offers TLS":         {get, host, "Upgrade: TLS/1.2", "Connection: Upgrade"},
		"an offer that was cut off":       {get, host, "Upgrade: websocket"},
		"an empty offer":                  {get, host, "Upgrade:"},
		"two offers":                      {get, host, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Upgrade: websocket"},
		"two offers, the other way round": {get, host, "Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket", "Upgrade: h2c"},
		"HTTP/2 with WebSocket in a list": {get, host, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c, websocket"},
		"nginx without a recipe":          {"GET /tapr/ws/conn/list HTTP/1.0", host, "Connection: close", "User-Agent: curl/8"},
		"the same, in other letters":      {"POST /tapr/ws/conn/send HTTP/1.0", "host: 127.0.0.1:40010", "CONNECTION:\tClose", "Content-Length: 0"},
	} {
		h := request(t, lines...)
		for _, r := range []Audience{Managers, Browsers, Nobody} {
			for _, from := range []Place{Loopback, Unix} {
				shared := newTestRules(t, "")
				if no := shared.Check(h, from, r); no.Status != 403 || !strings.Contains(no.Why, "proxy") || !strings.Contains(no.Why, "--admin-listen") {
					t.Errorf("%s: %+v", name, no)
				}
			}
		}
		own := newTestRules(t, "")
		own.own = true
		if no := own.Check(h, Loopback, Managers); no.Status != 0 {
			t.Errorf("%s, on an address that no proxy of WebSockets knows: %+v", name, no)
		}
		token := newTestRules(t, "right")
		h.Set("Authorization", "Bearer right")
		if no := token.Check(h, Remote, Managers); no.Status != 0 {
			t.Errorf("%s, with the token: %+v", name, no)
		}
	}
}

func TestLookingForProxiesAndPagesAllocatesNothing(t *testing.T) {
	g := newTestRules(t, "")
	h := request(t, "POST /tapr/ws/conn/send HTTP/1.1", "Host: 127.0.0.1:40010", "User-Agent: Go-http-client/1.1", "Content-Length: 2", "Content-Type: application/json", "X-A-Header-Name-That-Is-Long: a", "Connection: keep-alive")
	if n := testing.AllocsPerRun(100, func() {
		for name, value := range h.All() {
			if g.passedOn(name) != "" || !ownPage(h, Managers, name, value) || recipe(h) != "" {
				t.Fatal("refused")
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
