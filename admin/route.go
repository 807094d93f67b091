package admin

import (
	"strings"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
	"ws-gateway/admin/budget"
)

// route is a path that the management server knows, and all that is known about it.
type route struct {
	name  string // in metrics and logs
	path  string // in lower case; "": none, but paths below
	below string // the prefix of further paths; "": there are none
	who   access.Audience

	// A route that changes something has a command: it takes POST, reads the request's
	// body and answers 503 once the shutdown has begun. A route that shows something has
	// an answer: it takes GET and HEAD.
	command func(s *Server, ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome
	answer  handler

	// probe answers at --metrics-listen; nil: the route is not there.
	probe handler

	query   *parameters // of its query; nil: the query means nothing and is ignored
	text    bool        // answers, errors included, are plain text; otherwise JSON
	optIn   bool        // there only with Config.Profiles
	untimed bool        // takes as long as the caller says

	nth int // its index in routes
}

// handler answers a request.
type handler func(s *Server, ctx *fasthttp.RequestCtx, t target) outcome

// unknown is the route of all other paths.
var unknown = &route{name: "unknown", who: access.Nobody}

const statusPath = "/tapr/ws/status"

var routes = numbered(
	unknown,
	&route{name: "send", path: "/tapr/ws/conn/send", command: (*Server).send},
	&route{name: "close", path: "/tapr/ws/conn/close", command: (*Server).close},
	&route{name: "list", path: "/tapr/ws/conn/list", answer: (*Server).list,
		query: &parameters{{"user", true}, {"user_prefix", false}, {"remote", false}, {"older_than", false}, {"group", true}, {"limit", false}, {"cursor", false}, {"scope", false}}},
	&route{name: "count", path: "/tapr/ws/conn/count", answer: (*Server).count,
		query: &parameters{{"user", true}, {"user_prefix", false}, {"remote", false}, {"older_than", false}, {"group", true}, {"scope", false}}},
	&route{name: "get", path: "/tapr/ws/conn/get", answer: (*Server).get, query: &parameters{{"conn_id", false}, {"scope", false}}},
	&route{name: "join", path: "/tapr/ws/group/join", command: (*Server).join},
	&route{name: "leave", path: "/tapr/ws/group/leave", command: (*Server).leave},
	&route{name: "meta", path: "/tapr/ws/conn/meta", command: (*Server).meta},
	&route{name: "groups", path: "/tapr/ws/group/list", answer: (*Server).groups,
		query: &parameters{{"conn_id", false}, {"user", true}, {"limit", false}, {"cursor", false}, {"scope", false}}},
	&route{name: "events", path: "/tapr/ws/conn/events", answer: (*Server).events,
		query: &parameters{{"user", true}, {"conn_id", true}, {"group", true}, {"action", true}, {"payload", false}, {"rate", false}, {"scope", false}}},
	&route{name: "status", path: statusPath, answer: (*Server).status, query: &parameters{}},
	&route{name: "config", path: "/tapr/ws/config", answer: (*Server).config, query: &parameters{}},
	&route{name: "healthz", path: "/healthz", answer: (*Server).healthy, probe: (*Server).healthy, who: access.Everybody, text: true},
	&route{name: "readyz", path: "/readyz", answer: (*Server).ready, probe: (*Server).ready, who: access.Everybody, text: true},
	&route{name: "metrics", path: "/metrics", answer: (*Server).metricsInTurn, probe: (*Server).scrape, text: true},
	&route{name: "profile", below: profilePrefix, answer: (*Server).profile, text: true, optIn: true, untimed: true},
	&route{name: "console", path: consolePath, below: consolePath + "/", answer: (*Server).console, who: access.Browsers, text: true},
)

func numbered(all ...*route) []*route {
	for i, r := range all {
		r.nth = i
	}
	return all
}

// String returns the route's name in metrics and logs.
func (r *route) String() string { return r.name }

// longestPath is the length of the longest path that is compared with the known ones.
const longestPath = 32

// routeOf finds the route of a request target's path. The path is taken as it was sent,
// neither decoded nor cleaned, so that what a proxy in front has allowed is what is
// served here. Letters match in any case, and one trailing slash is accepted.
func routeOf(path []byte) *route {
	if len(path) == 0 || len(path) > longestPath {
		return unknown
	}
	var array [longestPath]byte
	n := copy(array[:], path)
	if n > 1 && array[n-1] == '/' {
		n--
	}
	lower := array[:n]
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b | 0x20
		}
	}
	for _, r := range routes {
		if string(lower) == r.path || r.below != "" && strings.HasPrefix(string(lower), r.below) {
			return r
		}
	}
	return unknown
}

// allow is the value of the Allow header.
func (r *route) allow() string {
	if r.command != nil {
		return "POST"
	}
	return "GET, HEAD"
}

// takes reports whether the route answers method.
func (r *route) takes(method []byte) bool {
	switch string(method) {
	case "POST":
		return r.command != nil
	case "GET", "HEAD":
		return r.answer != nil
	}
	return false
}
