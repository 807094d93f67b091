package admin

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"ws-gateway/netpoll/wire"
)

// target is a request target taken apart.
type target struct {
	path, query []byte
	authority   []byte // of the absolute form; nil otherwise
	route       *route
}

func targetOf(h *fasthttp.RequestHeader) (t target, no refusal) {
	parsed, bad := wire.ParseTarget(h.Method(), h.RequestURI())
	if bad != nil {
		return target{route: unknown}, refusal{bad.Status, bad.Text}
	}
	t.path, t.authority, t.route = parsed.Path, parsed.Authority, routeOf(parsed.Path)
	if len(parsed.Origin) > len(t.path) {
		t.query = parsed.Origin[len(t.path)+1:]
	}
	return t, refusal{}
}

// checkAuthority is check for the authority of an absolute target. RFC 9112, 3.2.2:
// it counts instead of the Host header; but whoever looked at the request before us
// may have gone by the header, so each of them must name this host. No page sends
// this form, and what says that it is one is not taken for the console.
func (g *guard) checkAuthority(authority []byte, h *fasthttp.RequestHeader, from peer) refusal {
	if authority == nil || g.token.Load() != nil {
		return refusal{}
	}
	if from != unixPeer && hostKindOf(string(authority)) == foreignHost {
		return refusal{fasthttp.StatusForbidden, "the request target names a host that is neither an IP address nor localhost: call the gateway by one of these" + orToken}
	}
	if len(h.Peek(fasthttp.HeaderOrigin)) > 0 && !bytes.Equal(authority, h.Host()) {
		return refusal{fasthttp.StatusForbidden, "header Origin shows that a web page sent this request: call the gateway from the app" + orToken}
	}
	return refusal{}
}
