package admin

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// Without a token a request must not show that it was passed on for somebody else.
// What a stranger behind a proxy sends is his to choose, so against strangers only
// that helps which the proxy itself adds, and which an app's own HTTP client does
// not. What pages make browsers send (Origin, Referer, Host) helps against pages.

// proxyHeaders are those that only proxies, balancers and CDNs add. Headers that the
// instrumentation of an app adds to what it sends (traceparent, X-Request-Id,
// X-Amzn-Trace-Id, X-B3-…) are not among them.
var proxyHeaders = nameSet("Forwarded", "X-Forwarded", "X-Real-Ip", "Via", "Max-Forwards", "Cdn-Loop",
	"True-Client-Ip", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip",
	"X-Request-Start", "X-Queue-Start", "X-Varnish", "X-Rewrite-Url", "Front-End-Https", "Surrogate-Capability")

// proxyFamilies are the same, by how their names begin.
var proxyFamilies = [...]string{"X-Forwarded-", "X-Original-", "X-Envoy-", "Cf-", "Cloudfront-", "Fastly-", "X-Azure-", "X-Appengine-", "X-Arr-", "Tailscale-"}

// longestName is that of proxyHeaders' names.
const longestName = 20

// beginnings has, for each first letter in lower case, the second ones of all these
// names: what an app sends is none of them, and need not be looked up.
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

// mayBeAProxys reports whether a name begins as one of the tables' does.
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

// passedOn returns the name of the header when it is one that proxies add, and
// "" otherwise. A header that is there and empty counts: a proxy that means to say
// nothing of the user has said that it is one.
func (g *guard) passedOn(name []byte) string {
	if identity := *g.identity.Load(); named(name, identity) {
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

// recipe returns what shows that a proxy of WebSocket connections, set up as
// nginx's manual has it, passed a request on; "" if nothing does. Such a proxy
// writes Connection: upgrade onto every request, whatever the client sent, and
// Upgrade as the client had it. One that is not set up for them speaks HTTP/1.0
// with Connection: close, and gives our own address as the Host; from nginx 1.29.7 on
// it speaks HTTP/1.1 without Connection, and cannot be told from an app.
//
// Two kinds of apps look similar. A client that offers HTTP/2 says so in both
// headers, which no proxy's fixed Connection: upgrade does; it is answered. One
// that speaks HTTP/1.0 without these two, such as a shell script, is answered too.
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

// saysClose reports whether a Connection line says close. fasthttp's own answer
// is about the version as well.
func saysClose(lines []byte) bool {
	for line := range bytes.Lines(lines) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if named(name, fasthttp.HeaderConnection) && hasToken(value, "close") {
			return true
		}
	}
	return false
}

// hasToken reports whether a comma-separated list has the token, in any case.
func hasToken(list []byte, token string) bool {
	for item := range bytes.SplitSeq(list, []byte(",")) {
		if strings.EqualFold(string(bytes.TrimSpace(item)), token) {
			return true
		}
	}
	return false
}

// ownPage reports whether a header leaves it open that no page sent the request,
// or shows that it was one of our own origin. Browsers add Origin to what could
// change something, Sec-Fetch-Site to everything, and Referer to what a page loads
// unless it asks them not to; pages can set none to another's.
//
// Our own origin is http:// and the very Host that the request is for, where that
// is this host's loopback: a page that was loaded from there came from here, or
// through a tunnel that ends here, whose port may be another one. Addresses that
// others can reach are not taken, for there a proxy may serve strangers' pages
// under the same origin. A link to the console may stand on any page.
func ownPage(h *fasthttp.RequestHeader, r *route, name, value []byte) bool {
	switch {
	case named(name, fasthttp.HeaderOrigin):
		return hostOf(h) == loopbackHost && string(value) == "http://"+string(h.Host())
	case named(name, fasthttp.HeaderReferer):
		return r.who == browsers || hostOf(h) == loopbackHost && bytes.HasPrefix(value, []byte("http://"+string(h.Host())+"/"))
	case named(name, "Sec-Fetch-Site"):
		return r.who == browsers || string(value) == "same-origin" || string(value) == "none"
	}
	return true
}
