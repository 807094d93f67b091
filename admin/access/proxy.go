package access

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// Without a token a request must not show that a proxy passed it on. A stranger behind a
// proxy chooses what he sends, so the only evidence against strangers is what the proxy
// itself adds and an app's own HTTP client does not.

// proxyHeaders are added by proxies, load balancers and CDNs alone. Headers that an app's
// own tracing adds (traceparent, X-Request-Id, X-Amzn-Trace-Id, X-B3-…) are not among
// them.
var proxyHeaders = nameSet("Forwarded", "X-Forwarded", "X-Real-Ip", "Via", "Max-Forwards", "Cdn-Loop",
	"True-Client-Ip", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip",
	"X-Request-Start", "X-Queue-Start", "X-Varnish", "X-Rewrite-Url", "Front-End-Https", "Surrogate-Capability")

// proxyFamilies are further such headers, by how their names begin.
var proxyFamilies = [...]string{"X-Forwarded-", "X-Original-", "X-Envoy-", "Cf-", "Cloudfront-", "Fastly-", "X-Azure-", "X-Appengine-", "X-Arr-", "Tailscale-"}

// longestName is the length of the longest name in proxyHeaders.
const longestName = 20

// beginnings has, for each first letter in lower case, the second letters of all these
// names. What an app sends hardly ever begins like one, and then is not looked up.
var beginnings = func() (set [128][2]uint64) {
	add := func(name string) {
		first, second := name[0]|0x20, name[1]|0x20
		set[first][second>>6] |= 1 << (second & 63)
	}
	for name := range proxyHeaders {
		add(name)
	}
	for _, family := range proxyFamilies {
		add(family)
	}
	return set
}()

// mayBeAProxys reports whether a name begins like one in the tables.
func mayBeAProxys(name []byte) bool {
	if len(name) < 2 || name[0]|name[1] >= 0x80 {
		return false
	}
	second := name[1] | 0x20
	return beginnings[name[0]|0x20][second>>6]&(1<<(second&63)) != 0
}

// nameSet maps names in lower case to how they are written.
func nameSet(names ...string) map[string]string {
	set := make(map[string]string, len(names))
	for _, name := range names {
		if len(name) > longestName {
			panic("BUG: longestName is too short for " + name)
		}
		set[strings.ToLower(name)] = name
	}
	return set
}

// passedOn returns the header's name if it is one that proxies add, otherwise "". An
// empty header counts: a proxy that says nothing about the user has still said that it
// is a proxy.
func (r *Rules) passedOn(name []byte) string {
	if identity := *r.identity.Load(); named(name, identity) {
		return identity
	}
	if !mayBeAProxys(name) {
		return ""
	}
	for _, family := range proxyFamilies {
		if len(name) > len(family) && strings.EqualFold(string(name[:len(family)]), family) {
			return family + "*"
		}
	}
	if len(name) > longestName {
		return ""
	}
	var lower [longestName]byte
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		lower[i] = b
	}
	return proxyHeaders[string(lower[:len(name)])]
}

// recipe returns what shows that a proxy set up for WebSockets by the recipe in nginx's
// manual passed a request on; "" if nothing does. Such a proxy writes Connection: upgrade
// onto every request, whatever the client sent, and Upgrade as the client had it. One that
// is not set up for WebSockets speaks HTTP/1.0 with Connection: close, and gives our own
// address as the Host; from nginx 1.29.7 on it speaks HTTP/1.1 without Connection, and
// looks like an app.
//
// Two kinds of apps look similar and are let in. A client that offers HTTP/2 says so in
// both headers, which no proxy's fixed Connection: upgrade does. A client that speaks
// HTTP/1.0 without these two headers may be a shell script.
func recipe(h *fasthttp.RequestHeader) string {
	if !h.IsHTTP11() && len(h.Host()) > 0 && saysClose(h.RawHeaders()) {
		return "HTTP/1.0 with Connection: close"
	}
	upgrade, settings := false, false
	for _, value := range h.PeekAll(fasthttp.HeaderConnection) {
		upgrade = upgrade || hasToken(value, "upgrade")
		settings = settings || hasToken(value, "http2-settings")
	}
	offers := h.PeekAll(fasthttp.HeaderUpgrade)
	http2 := len(offers) == 1 && strings.EqualFold(string(bytes.TrimSpace(offers[0])), "h2c")
	switch {
	case upgrade && settings && http2:
		return ""
	case len(offers) > 0:
		return "header Upgrade"
	case upgrade:
		return "header Connection: upgrade"
	}
	return ""
}

// saysClose reports whether a Connection line says close. fasthttp's ConnectionClose
// also depends on the version.
func saysClose(lines []byte) bool {
	for line := range bytes.Lines(lines) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if named(name, fasthttp.HeaderConnection) && hasToken(value, "close") {
			return true
		}
	}
	return false
}

// hasToken reports whether a comma-separated list has the token, in any letter case.
func hasToken(list []byte, token string) bool {
	for item := range bytes.SplitSeq(list, []byte(",")) {
		if strings.EqualFold(string(bytes.TrimSpace(item)), token) {
			return true
		}
	}
	return false
}
