package wire

import (
	"bytes"
	"net/http"
)

// Target is a parsed request target (RFC 9112, 3.2). Nothing is decoded or normalised.
type Target struct {
	Authority []byte // of the absolute form, where it replaces the Host header; nil otherwise
	Path      []byte // "/" if the absolute form has none
	Origin    []byte // path and query, as the origin form writes them
}

var rootPath = []byte{'/'}

// ParseTarget parses the target of a request. It accepts the origin form and the
// absolute form. The other forms are for proxies or for the server as a whole, and
// are not answered here.
func ParseTarget(method, target []byte) (t Target, err *HandshakeError) {
	switch {
	case len(target) > 0 && target[0] == '/':
		t.Path, t.Origin = beforeQuery(target), target
		return t, nil
	case string(method) == http.MethodConnect:
		return t, badRequest("CONNECT is for proxies, and this is none: connect to the host itself")
	case len(target) == 1 && target[0] == '*':
		return t, badRequest("the target * asks about the server as a whole, which nobody answers here: ask for a path")
	}
	scheme, rest, found := bytes.Cut(target, []byte("://"))
	if !found || len(scheme) == 0 || schemeByte.firstNotIn(scheme) >= 0 {
		return t, badRequest("request target " + quoteShort(target) + " is neither a path that begins with / nor an http:// URL")
	}
	switch {
	case len(scheme) == len("https") && equalFold(scheme, "https"):
		// RFC 9110, 7.4: a request for https over a connection that is not secured
		// MUST be rejected.
		return t, badRequest("request target with https://: TLS ends in front of this server, which takes http:// and paths alone")
	case len(scheme) != len("http") || !equalFold(scheme, "http"):
		return t, badRequest("request target with " + quoteShort(scheme) + " for a scheme: only http is served here")
	}
	end := len(rest)
	if i := bytes.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	t.Authority, t.Origin = rest[:end], rest[end:]
	switch {
	case len(t.Authority) == 0 || t.Authority[0] == ':':
		return t, badRequest("request target with an empty host") // RFC 9110, 4.2.1: MUST reject
	case bytes.IndexByte(t.Authority, '@') >= 0:
		return t, badRequest("request target with a user name") // RFC 9110, 4.2.4: SHOULD treat as an error
	case !isHostPort(t.Authority):
		return t, badRequest("request target with a bad host")
	}
	// RFC 9110, 4.2.3: an empty path is the same as "/".
	if len(t.Origin) == 0 {
		t.Origin = rootPath
	} else if t.Origin[0] == '?' {
		t.Origin = append(rootPath[:1:1], t.Origin...)
	}
	t.Path = beforeQuery(t.Origin)
	return t, nil
}

// isHostPort checks uri-host [ ":" port ] (RFC 3986, 3.2.2). It does not look into
// the brackets of an address.
func isHostPort(b []byte) bool {
	if hostByte.firstNotIn(b) >= 0 {
		return false
	}
	host, port := b, []byte(nil)
	bracket := bytes.IndexByte(b, ']')
	if i := bytes.LastIndexByte(b, ':'); i > bracket {
		host, port = b[:i], b[i+1:]
	}
	if digitByte.firstNotIn(port) >= 0 {
		return false
	}
	if bracket >= 0 {
		return host[0] == '[' && bracket == len(host)-1 && bracket > 1 && bytes.IndexByte(host[1:], '[') < 0
	}
	return len(host) > 0 && !bytes.ContainsAny(host, "[:")
}

func beforeQuery(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i]
	}
	return target
}
