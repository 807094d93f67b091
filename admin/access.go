package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

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
// away before they cost more than a request head. While there is an admin token
// everybody is let through, to be asked for it here; otherwise only loopback peers
// are, and whoever asks for /healthz or /readyz. hasToken is called for each such
// request, on the loops: see [Server.HasToken].
func HandOff(hasToken func() bool) func(peer netip.AddrPort, path []byte) bool {
	return func(peer netip.AddrPort, path []byte) bool {
		return peer.Addr().Unmap().IsLoopback() || routeOf(path).who == everybody || hasToken()
	}
}

// guard decides who may use the management API.
type guard struct {
	identity atomic.Pointer[string] // the header that carries the user's name
	own      bool                   // management has an address of its own
	token    atomic.Pointer[token]  // nil: there is none
}

// token is the digest of an admin token: what is compared has one length.
type token [sha256.Size]byte

func newGuard(cfg *Config) (*guard, error) {
	g := &guard{own: cfg.OwnAddress}
	g.identity.Store(&cfg.UserHeader)
	return g, g.setToken(cfg.Token)
}

func (g *guard) setToken(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("admin: the token must be printable ASCII without blanks")
	}
	if text == "" {
		g.token.Store(nil)
		return nil
	}
	digest := token(sha256.Sum256([]byte(text)))
	g.token.Store(&digest)
	return nil
}

// HasToken reports whether there is an admin token. It may be called at any time.
func (s *Server) HasToken() bool { return s.guard.token.Load() != nil }

// refusal is an HTTP status above 400 and one line for the caller. The zero
// value refuses nothing.
type refusal struct {
	status int
	why    string
}

const (
	orToken = ", or start the gateway with an admin token and send it as Authorization: Bearer"
	orOwn   = ", or give management an address of its own (--admin-listen)" + orToken
)

// check applies the access rules to the head of a request for r. With a token,
// the token is the rule; the console's files, which hold no data, are served
// without it, for a page has to be there before it can ask for one. Without a
// token, a request must come from this host and must not show that it was passed
// on for somebody else: those who can make a process beside us send a request are
// proxies, and browsers on web pages' behalf. The one page whose requests are
// answered is the console itself, as served from here: see ownPage.
//
// On an address of its own there are no WebSockets for which a proxy would be set
// up, and apps whose HTTP client looks like such a proxy are answered.
func (g *guard) check(h *fasthttp.RequestHeader, from peer, r *route) refusal {
	if want := g.token.Load(); want != nil {
		if r.who != browsers && !want.shownBy(h) {
			return refusal{fasthttp.StatusUnauthorized, "admin token missing or wrong: send it as Authorization: Bearer"}
		}
		return refusal{}
	}
	if from == remotePeer {
		return refusal{fasthttp.StatusForbidden, "management is for this host only: call it over loopback" + orToken}
	}
	offer := !h.IsHTTP11()
	for name, value := range h.All() {
		offer = offer || named(name, fasthttp.HeaderConnection) || named(name, fasthttp.HeaderUpgrade)
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
	if r == unknown && len(h.Peek("Sec-WebSocket-Key")) > 0 {
		return refusal{} // a client that hears what is wrong with its path
	}
	if g.own || !offer {
		return refusal{}
	}
	if shown := recipe(h); shown != "" {
		return refusal{fasthttp.StatusForbidden, shown + " shows that a proxy passed this request on: call the gateway directly, with plain HTTP/1.1" + orOwn}
	}
	return refusal{}
}

// shownBy reports whether the request carries the token. How long that takes does
// not depend on how much of it is right.
func (t *token) shownBy(h *fasthttp.RequestHeader) bool {
	sum := sha256.Sum256(bearer(h))
	return subtle.ConstantTimeCompare(sum[:], t[:]) == 1
}

// bearer returns the token that the request offers, right or wrong; nil where it
// offers none.
func bearer(h *fasthttp.RequestHeader) []byte {
	const scheme = "Bearer "
	value := h.Peek(fasthttp.HeaderAuthorization)
	if len(value) < len(scheme) || !strings.EqualFold(string(value[:len(scheme)]), scheme) {
		return nil
	}
	return value[len(scheme):]
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
	if host == "" && !h.IsHTTP11() {
		return addressHost
	}
	return hostKindOf(host)
}

// hostKindOf tells it of a host with or without a port.
func hostKindOf(host string) hostKind {
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
