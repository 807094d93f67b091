package admin

import "testing"

func TestRouteOfMatchesThePathAsSent(t *testing.T) {
	for path, want := range map[string]route{
		"/tapr/ws/conn/send":         routeSend,
		"/tapr/ws/conn/send/":        routeSend,
		"/TAPR/Ws/conn/SEND":         routeSend,
		"/tapr/ws/conn/close":        routeClose,
		"/tapr/ws/conn/list":         routeList,
		"/tapr/ws/conn/list/":        routeList,
		"/tapr/ws/conn/count":        routeCount,
		"/tapr/ws/conn/get":          routeGet,
		"/healthz":                   routeHealth,
		"/HEALTHZ/":                  routeHealth,
		"/readyz":                    routeReady,
		"/metrics":                   routeMetrics,
		"/debug/pprof/heap":          routeProfile,
		"/debug/pprof/":              routeUnknown,
		"/tapr/ws/conn/events":       routeEvents,
		"/tapr/ws/status":            routeStatus,
		"/tapr/ws/config/":           routeConfig,
		"/console":                   routeConsole,
		"/console/":                  routeConsole,
		"/Console/main.js":           routeConsole,
		"/console/../metrics":        routeConsole, // where it is no file
		"/consoles":                  routeUnknown,
		"":                           routeUnknown,
		"/":                          routeUnknown,
		"//":                         routeUnknown,
		"*":                          routeUnknown,
		"/tapr/ws/conn/send//":       routeUnknown,
		"//tapr/ws/conn/send":        routeUnknown,
		"/tapr//ws/conn/send":        routeUnknown,
		"/tapr/./ws/conn/send":       routeUnknown,
		"/ws/../tapr/ws/conn/list":   routeUnknown,
		"/healthz/../metrics":        routeUnknown,
		"/tapr/ws/conn/%73end":       routeUnknown,
		"/tapr%2Fws%2Fconn%2Fsend":   routeUnknown,
		"/tapr/ws/conn/send%00":      routeUnknown,
		"/tapr/ws/conn/send;a=b":     routeUnknown,
		"/tapr/ws/conn/send#x":       routeUnknown,
		"/tapr/ws/conn/ſend":         routeUnknown, // folds to s in Unicode
		"/tapr\\ws\\conn\\send":      routeUnknown,
		"http://h/tapr/ws/conn/send": routeUnknown,
		"/tapr/ws/conn/sendsendsendsendsendsendsend":      routeUnknown,
		"/tapr/ws/conn/send/////////////////////////////": routeUnknown,
	} {
		if got := routeOf([]byte(path)); got != want {
			t.Errorf("routeOf(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestEveryRouteHasAName(t *testing.T) {
	for r := range routes {
		if r.String() == "" {
			t.Errorf("route %d has no name", r)
		}
	}
}
