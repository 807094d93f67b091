package admin

import (
	"github.com/valyala/fasthttp"

	"ws-gateway/netpoll/wire"
)

// target is a parsed request target.
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
