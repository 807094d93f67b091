package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// peer says where a request's connection comes from.
type peer uint8

const (
	remotePeer   peer = iota // another host, as far as one can tell
	loopbackPeer             // TCP from this host, or from a container of the same pod
	unixPeer                 // a process that may open the socket's file
)

func peerOf(addr net.Addr) peer {
	switch a := addr.(type) {
	case *net.UnixAddr:
		return unixPeer
	case *net.TCPAddr:
		if a.AddrPort().Addr().Unmap().IsLoopback() {
			return loopbackPeer
		}
	}
	return remotePeer
}

// HandOff returns the decision for netpoll.Config.HandOff, which turns strangers
// away before they cost more than a request head. Where an admin token is
// configured everybody is let through, to be asked for it here; otherwise only
// loopback peers are, and whoever asks for /healthz or /readyz.
func HandOff(token bool) func(peer netip.AddrPort, path []byte) bool {
	return func(peer netip.AddrPort, path []byte) bool {
		return token || peer.Addr().Unmap().IsLoopback() || routeOf(path).public()
	}
}

// guard decides who may use the management API.
type guard struct {
	hasToken bool
	token    [sha256.Size]byte // of the token: what is compared has one length
	identity string            // the header that carries the user's name
}

func newGuard(token, identity string) (guard, error) {
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return guard{}, errors.New("admin: the token must be printable ASCII without blanks")
		}
	}
	return guard{hasToken: token != "", token: sha256.Sum256([]byte(token)), identity: identity}, nil
}

// refusal is an HTTP status above 400 and one line for the caller. The zero
// value refuses nothing.
type refusal struct {
	status int
	why    string
}

const orToken = ", or start the gateway with an admin token and send it as Authorization: Bearer"

// check applies the access rules to the head of a request for r. With a token,
// the token is the rule; the console's files, which hold no data, are served
// without it, for a page has to be there before it can ask for one. Without a
// token, a request must come from this host and must not show that it was passed
// on for somebody else: those who can make a process beside us send a request are
// proxies, and browsers on web pages' behalf. The one page whose requests are
// answered is the console itself, as served from here: see ownPage.
func (g *guard) check(h *fasthttp.RequestHeader, from peer, r route) refusal {
	if g.hasToken {
		if r != routeConsole && !g.proven(h) {
			return refusal{fasthttp.StatusUnauthorized, "admin token missing or wrong: send it as Authorization: Bearer"}
		}
		return refusal{}
	}
	if from == remotePeer {
		return refusal{fasthttp.StatusForbidden, "management is for this host only: call it over loopback" + orToken}
	}
	for name, value := range h.All() {
		if shown := g.passedOn(name); shown != "" {
			return refusal{fasthttp.StatusForbidden, "header " + shown + " shows that a proxy passed this request on: call the gateway directly" + orToken}
		}
		if !ownPage(h, r, name, value) {
			return refusal{fasthttp.StatusForbidden, "header " + string(name) + " shows that a web page sent this request: call the gateway from the app" + orToken}
		}
	}
	if from != unixPeer && hostOf(h) == foreignHost {
		return refusal{fasthttp.StatusForbidden, "header Host is neither an IP address nor localhost: call the gateway by one of these" + orToken}
	}
	return refusal{}
}

// ownPage reports whether a header leaves it open that no page sent the request,
// or shows that it was one of our own origin. Browsers add Origin to what could
// change something, and Sec-Fetch-Site to everything; pages can set neither.
//
// Our own origin is http:// and the very Host that the request is for, where that
// is this host's loopback: a page that was loaded from there came from here, or
// through a tunnel that ends here, whose port may be another one. Addresses that
// others can reach are not taken, for there a proxy may serve strangers' pages
// under the same origin. A link to the console may stand on any page.
func ownPage(h *fasthttp.RequestHeader, r route, name, value []byte) bool {
	switch {
	case named(name, fasthttp.HeaderOrigin):
		return hostOf(h) == loopbackHost && string(value) == "http://"+string(h.Host())
	case named(name, "Sec-Fetch-Site"):
		return r == routeConsole || string(value) == "same-origin" || string(value) == "none"
	}
	return true
}

// proven reports whether the request carries the token.
func (g *guard) proven(h *fasthttp.RequestHeader) bool {
	const scheme = "Bearer "
	value := h.Peek(fasthttp.HeaderAuthorization)
	if len(value) < len(scheme) || !strings.EqualFold(string(value[:len(scheme)]), scheme) {
		return false
	}
	sum := sha256.Sum256(value[len(scheme):])
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// passedOn returns the name of the header when it is one that proxies add, and
// "" otherwise.
func (g *guard) passedOn(name []byte) string {
	const family = "X-Forwarded-"
	if len(name) > len(family) && strings.EqualFold(string(name[:len(family)]), family) {
		return family + "*"
	}
	for _, known := range [...]string{"Forwarded", "X-Real-Ip", "Via", g.identity} {
		if named(name, known) {
			return known
		}
	}
	return ""
}

// named compares header names, which are ASCII, without case.
func named(name []byte, known string) bool {
	return len(name) == len(known) && strings.EqualFold(string(name), known)
}

// hostKind is what the Host header says of the name under which we were reached.
type hostKind uint8

const (
	foreignHost  hostKind = iota // a name that a DNS zone of somebody's may have
	addressHost                  // an IP address
	loopbackHost                 // localhost, or an IP address of the loopback
)

// hostOf tells whether the Host header names this host in a way that no foreign
// DNS zone can: a page that was rebound to our address still sends the name under
// which it was loaded. HTTP/1.0, where the header is optional, is older than the
// attack.
func hostOf(h *fasthttp.RequestHeader) hostKind {
	host := string(h.Host())
	if host == "" {
		if h.IsHTTP11() {
			return foreignHost
		}
		return addressHost
	}
	if name, port, ok := cutPort(host); ok && digits(port) {
		host = name
	}
	if host = strings.TrimSuffix(host, "."); len(host) == len("localhost") && strings.EqualFold(host, "localhost") {
		return loopbackHost
	}
	bracketed := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if bracketed {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil, bracketed && !addr.Is6():
		return foreignHost
	case addr.Unmap().IsLoopback():
		return loopbackHost
	}
	return addressHost
}

// cutPort splits "name:port"; a bare IPv6 address has no port.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[:i], ':') >= 0 && host[i-1] != ']' {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}

func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
