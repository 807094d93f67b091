package admin

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestRouteOfMatchesThePathAsSent(t *testing.T) {
	for path, want := range map[string]string{
		"/tapr/ws/conn/send":         "send",
		"/tapr/ws/conn/send/":        "send",
		"/TAPR/Ws/conn/SEND":         "send",
		"/tapr/ws/conn/close":        "close",
		"/tapr/ws/conn/list":         "list",
		"/tapr/ws/conn/list/":        "list",
		"/tapr/ws/conn/count":        "count",
		"/tapr/ws/conn/get":          "get",
		"/healthz":                   "healthz",
		"/HEALTHZ/":                  "healthz",
		"/readyz":                    "readyz",
		"/metrics":                   "metrics",
		"/debug/pprof/heap":          "profile",
		"/debug/pprof/":              "unknown",
		"/tapr/ws/conn/events":       "events",
		"/tapr/ws/group/join":        "join",
		"/tapr/ws/Group/leave/":      "leave",
		"/tapr/ws/group/list":        "groups",
		"/tapr/ws/group/send":        "unknown",
		"/tapr/ws/status":            "status",
		"/tapr/ws/config/":           "config",
		"/console":                   "console",
		"/console/":                  "console",
		"/Console/main.js":           "console",
		"/console/../metrics":        "console", // where it is no file
		"/consoles":                  "unknown",
		"":                           "unknown",
		"/":                          "unknown",
		"//":                         "unknown",
		"*":                          "unknown",
		"/tapr/ws/conn/send//":       "unknown",
		"//tapr/ws/conn/send":        "unknown",
		"/tapr//ws/conn/send":        "unknown",
		"/tapr/./ws/conn/send":       "unknown",
		"/ws/../tapr/ws/conn/list":   "unknown",
		"/healthz/../metrics":        "unknown",
		"/tapr/ws/conn/%73end":       "unknown",
		"/tapr%2Fws%2Fconn%2Fsend":   "unknown",
		"/tapr/ws/conn/send%00":      "unknown",
		"/tapr/ws/conn/send;a=b":     "unknown",
		"/tapr/ws/conn/send#x":       "unknown",
		"/tapr/ws/conn/ſend":         "unknown", // folds to s in Unicode
		"/tapr\\ws\\conn\\send":      "unknown",
		"http://h/tapr/ws/conn/send": "unknown",
		"/tapr/ws/conn/sendsendsendsendsendsendsend":      "unknown",
		"/tapr/ws/conn/send/////////////////////////////": "unknown",
	} {
		if got := routeOf([]byte(path)).name; got != want {
			t.Errorf("routeOf(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestEveryRouteHasANameOfItsOwnAndEitherAnswersOrCommands(t *testing.T) {
	seen := make(map[string]bool)
	for i, r := range routes {
		if r.name == "" || seen[r.name] || r.nth != i {
			t.Errorf("route %d is %q, number %d", i, r.name, r.nth)
		}
		seen[r.name] = true
		if r != unknown && (r.answer == nil) == (r.command == nil) {
			t.Errorf("%s has both an answer and a command, or neither", r.name)
		}
		if r.path != "" && routeOf([]byte(r.path)) != r || r.below != "" && routeOf([]byte(r.below+"x")) != r {
			t.Errorf("%s is not found by its own path", r.name)
		}
	}
}

func TestFindingARouteAllocatesNothing(t *testing.T) {
	path := []byte("/tapr/ws/conn/events")
	if n := testing.AllocsPerRun(100, func() { routeOf(path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// routeNamed is the route of that name.
func routeNamed(name string) *route {
	return routes[slices.IndexFunc(routes, func(r *route) bool { return r.name == name })]
}

func TestEveryRouteIsInTheDocumentsWithItsMethod(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		method, _, _ := strings.Cut(r.allow(), ",")
		if want := "`" + method + " " + cmp.Or(r.path, r.below); r != unknown && !bytes.Contains(text, []byte(want)) {
			t.Errorf("docs/protocol.md does not have %s`", want)
		}
	}
}
