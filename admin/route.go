package admin

import "strings"

// route is one of the paths that the management server knows.
type route uint8

const (
	routeUnknown route = iota
	routeSend
	routeClose
	routeList
	routeCount
	routeGet
	routeEvents
	routeStatus
	routeConfig
	routeHealth
	routeReady
	routeMetrics
	routeProfile // all below profilePrefix
	routeConsole // consolePath and all below it
	routes
)

var routeNames = [routes]string{"unknown", "send", "close", "list", "count", "get", "events", "status", "config", "healthz", "readyz", "metrics", "profile", "console"}

// String returns the route's name in metrics and logs.
func (r route) String() string { return routeNames[r] }

// longestPath bounds what is compared with the known paths.
const longestPath = 32

// routeOf finds the route of a request target's path. The path is taken as it
// was sent, neither decoded nor cleaned, so that what a proxy in front has
// allowed is what is served here; letters match in any case and one trailing
// slash is accepted.
func routeOf(path []byte) route {
	if len(path) > longestPath {
		return routeUnknown
	}
	var lower [longestPath]byte
	n := copy(lower[:], path)
	if n > 1 && lower[n-1] == '/' {
		n--
	}
	for i, b := range lower[:n] {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b | 0x20
		}
	}
	if strings.HasPrefix(string(lower[:n]), profilePrefix) {
		return routeProfile
	}
	if strings.HasPrefix(string(lower[:n]), consolePath+"/") {
		return routeConsole
	}
	switch string(lower[:n]) {
	case "/tapr/ws/conn/send":
		return routeSend
	case "/tapr/ws/conn/close":
		return routeClose
	case "/tapr/ws/conn/list":
		return routeList
	case "/tapr/ws/conn/count":
		return routeCount
	case "/tapr/ws/conn/get":
		return routeGet
	case "/tapr/ws/conn/events":
		return routeEvents
	case "/tapr/ws/status":
		return routeStatus
	case "/tapr/ws/config":
		return routeConfig
	case "/healthz":
		return routeHealth
	case "/readyz":
		return routeReady
	case "/metrics":
		return routeMetrics
	case consolePath:
		return routeConsole
	}
	return routeUnknown
}

// public reports whether strangers are answered: an orchestrator probes from
// the node's address and with whatever Host it likes, and learns nothing.
func (r route) public() bool { return r == routeHealth || r == routeReady }

// text reports whether the route's answers, errors included, are plain text.
func (r route) text() bool { return r >= routeHealth }

// allow is the value of the Allow header.
func (r route) allow() string {
	if r == routeSend || r == routeClose {
		return "POST"
	}
	return "GET, HEAD"
}

// takes reports whether the route answers method.
func (r route) takes(method []byte) bool {
	switch string(method) {
	case "POST":
		return r == routeSend || r == routeClose
	case "GET", "HEAD":
		return r != routeSend && r != routeClose
	}
	return false
}
