package e2e_test

import (
	"os"
	"testing"

	"ws-gateway/e2e/harness"
)

const secret = harness.Secret

type (
	client  = harness.Client
	visitor = harness.Visitor
	logbook = harness.Log
	logLine = harness.Line
	watched = harness.Watched
)

// gateway is a running gateway with the questions that tests ask it.
type gateway struct{ *harness.Gateway }

// launch says how a gateway is started.
type launch struct {
	app         *app   // its URL becomes --callback-url; nil leaves that to args
	binary      string // "": the one with the race detector
	args        []string
	env         []string
	descriptors int        // soft and hard limit of descriptors; 0: as many as the test has
	sockets     []*os.File // passed on as systemd does it
	stderr      *os.File   // instead of the logbook
}

func (l launch) harness() harness.Launch {
	return harness.Launch{Binary: l.binary, Args: l.args, Env: l.env, Descriptors: l.descriptors, Sockets: l.sockets, Stderr: l.stderr}
}

// startGateway runs a gateway on a free port that calls a, and waits until it
// is ready.
func startGateway(t testing.TB, a *app, args ...string) *gateway {
	t.Helper()
	return launch{app: a, args: args}.start(t)
}

// startPushOnly runs a gateway that calls nobody.
func startPushOnly(t testing.TB, args ...string) *gateway {
	t.Helper()
	return launch{args: append([]string{"--no-callback"}, args...)}.start(t)
}

// start runs a gateway on a free port, and waits until it is ready.
func (l launch) start(t testing.TB) *gateway {
	t.Helper()
	if l.app != nil {
		l.args = append(l.args[:len(l.args):len(l.args)], "--callback-url", l.app.url())
	}
	return &gateway{l.harness().Start(t)}
}

// run starts the process with exactly these arguments and waits for nothing.
func (l launch) run(t testing.TB) *gateway {
	t.Helper()
	return &gateway{l.harness().Run(t)}
}

// runToEnd runs a gateway that is expected to end by itself.
func (l launch) runToEnd(t testing.TB) (code int, stdout, stderr string) {
	t.Helper()
	return l.harness().RunToEnd(t)
}
