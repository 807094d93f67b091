package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// What an editor puts in front of a file, and what Kubernetes sets for Services
// that happen to have our name, must not get in the way of a start.
func TestAByteOrderMarkAndVariablesOfServicesGetInNobodysWay(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	app.start()
	manifest := fmt.Sprintf("\ufeffoptions:\n  websocket:\n    port: %d\n    url: %s\n", app.port.number, callbackPath)
	g := launch{
		args: []string{"--manifest", harness.WriteFile(t, "OlaresManifest.yaml", manifest), "--config", harness.WriteFile(t, "gateway.yaml", "\ufeffpath: /socket\n")},
		env: []string{"WS_PORT=tcp://10.0.0.1:80", "WS_SERVICE_HOST=10.0.0.1", "WS_PORT_80_TCP=tcp://10.0.0.1:80",
			"WS_GATEWAY_PORT=tcp://10.0.0.1:40010", "WS_GATEWAY_SERVICE_HOST=10.0.0.1", "WS_GATEWAY_PORT_40010_TCP=tcp://10.0.0.1:40010",
			"WS_GATEWAY_METRICS_PORT=tcp://10.0.0.1:9090", "WS_GATEWAY_METRICS_SERVICE_HOST=10.0.0.1"},
	}.start(t)
	r := g.raw(t)
	r.say(strings.Replace(g.handshake("X-Bfl-User: u"), "GET /ws ", "GET /socket ", 1) + "\r\n")
	if response, body := r.response(); response.StatusCode != 101 {
		t.Fatalf("%d %q", response.StatusCode, body)
	}
	if warned := g.Log.MatchingNow(`"level":"warn"`); len(warned) > 0 {
		t.Errorf("the log warns: %s", warned[0].Raw)
	}
}

func TestTheGatewayOfACommandIsNamedAsPeopleNameIt(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	_, port, _ := strings.Cut(g.Addr, ":")
	for _, where := range []string{":" + port, "localhost:" + port, "http://:" + port, "0.0.0.0:" + port, "http://127.0.0.1:" + port + "/"} {
		cli(t, "", nil, "count", "--gateway", where).done(t, "0 connections of 0 users\n")
	}
	for where, part := range map[string]string{
		port:                       "written as :" + port,
		"/run/gateway.sock":        "unix:/run/gateway.sock",
		"tcp://127.0.0.1:" + port:  "must be http://",
		"ws://127.0.0.1:" + port:   "must be http://",
		"unix:":                    "path of a socket",
		"http://u:pw@127.0.0.1:80": "without user",
	} {
		cli(t, "", nil, "count", "--gateway", where).failed(t, 78, part)
	}
}
