package hub

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ws-gateway/forward"
	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
	"ws-gateway/netpoll/wire"
)

// retryAfter is what a client that is refused for the moment is told to wait.
const retryAfter = 5 * time.Second

// Upgrade implements netpoll.Handler. It lists a connection, so that sends can
// reach it, before the open event goes out.
func (h *Hub) Upgrade(c *netpoll.Conn, r *wire.Request) netpoll.Verdict {
	id := c.ID()
	ls := h.loops[id.Loop()]
	user, refusal := h.identify(ls.settings, r)
	if refusal.Status != 0 {
		return refusal
	}
	f := handshakeFields{
		user:    user,
		headers: ls.settings.eventHeaders(r),
		agent:   field(r, "User-Agent"),
		remote:  ls.settings.proxies.client(r),
	}
	if !c.Keep(f.size()) {
		h.stats.refusedHead.Add(1)
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "cookie or forwarded headers too large at the moment: --header-memory is used up", 0)
	}
	if h.cfg.Authorize != nil {
		return h.ask(ls, id, f, r)
	}
	if outcome := h.enter(ls, id, f); outcome != admitted {
		return h.refuseFor(outcome)
	}
	if app := h.cfg.Forwarder; app != nil {
		app.Open(ls.source(h, id), opening(f, r))
	}
	return netpoll.Verdict{Subprotocol: selectSubprotocol(r, ls.settings.subprotocols)}
}

// opening is what the open event says about the handshake.
func opening(f handshakeFields, r *wire.Request) forward.Request {
	return forward.Request{
		URI:        strings.ToValidUTF8(string(r.Target), "\uFFFD"),
		RemoteAddr: string(directory.AppendAddr(nil, f.remote)),
		UserAgent:  f.agent,
		Origin:     field(r, "Origin"),
	}
}

// refuseFor is the answer to a client that a limit keeps out.
func (h *Hub) refuseFor(outcome admission) netpoll.Verdict {
	switch outcome {
	case addressFull:
		h.stats.refusedAddressLimit.Add(1)
		return refuse(http.StatusTooManyRequests, "too many connections from this address", retryAfter)
	case userFull:
		h.stats.refusedUserLimit.Add(1)
		return refuse(http.StatusTooManyRequests, "too many connections of this user", retryAfter)
	default:
		h.stats.refusedLimit.Add(1)
		return refuse(http.StatusServiceUnavailable, "too many connections", retryAfter)
	}
}

// identify decides whether the client may connect, and as which user. It does not
// look at limits.
func (h *Hub) identify(s *settings, r *wire.Request) (user string, refusal netpoll.Verdict) {
	if h.draining.Load() {
		h.stats.refusedDraining.Add(1)
		return "", refuse(http.StatusServiceUnavailable, "shutting down", retryAfter)
	}
	if h.recovering.Load() {
		h.stats.refusedOverload.Add(1)
		return "", refuse(http.StatusServiceUnavailable, "starting", retryAfter)
	}
	if h.overloaded.Load() {
		h.stats.refusedOverload.Add(1)
		return "", refuse(http.StatusServiceUnavailable, "overloaded", retryAfter)
	}
	name, count := r.Get(s.userHeader)
	switch {
	case count > 1:
		refusal = refuse(http.StatusBadRequest, s.userHeader+" is there more than once", 0)
	case !utf8.Valid(name):
		refusal = refuse(http.StatusBadRequest, s.userHeader+" is not UTF-8", 0)
	case s.requireUser && len(name) == 0:
		refusal = refuse(http.StatusUnauthorized, s.userHeader+" is missing", 0)
	}
	if refusal.Status != 0 {
		h.stats.refusedUser.Add(1)
		return "", refusal
	}
	if origin, count := r.Get("Origin"); count > 0 && !s.origins.allow(string(origin)) {
		h.stats.refusedOrigin.Add(1)
		return "", refuse(http.StatusForbidden, "origin not allowed", 0)
	}
	return string(name), netpoll.Verdict{}
}

func refuse(status int, reason string, after time.Duration) netpoll.Verdict {
	return netpoll.Verdict{Status: status, Reason: reason, RetryAfter: after}
}

// field copies the first value of a header for use in JSON.
func field(r *wire.Request, name string) string {
	value, _ := r.Get(name)
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

// selectSubprotocol picks the first offered subprotocol that is allowed; if allowed
// is empty, any is. It returns "" if there is none. Those that are about resumable
// sessions are netpoll's.
func selectSubprotocol(r *wire.Request, allowed []string) (selected string) {
	r.EachSubprotocol(func(offer []byte) (stop bool) {
		if wire.IsResumeName(offer) {
			return false
		}
		if len(allowed) == 0 {
			selected = string(offer)
		} else if i := slices.Index(allowed, string(offer)); i >= 0 {
			selected = allowed[i]
		}
		return selected != ""
	})
	return selected
}
