package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// startReturning runs two gateways of a cluster, x and y, of which y restarts with its sessions.
func startReturning(t *testing.T, a *app, resumeFor string) (x, y *gateway, file string, again func() *gateway) {
	t.Helper()
	nats := natstest.Start(t, nil)
	file = filepath.Join(t.TempDir(), "sessions")
	start := func(name string, args ...string) *gateway {
		return startGateway(t, a, slices.Concat(args, patient, []string{"--cluster", nats.URL(), "--cluster-app", "chat", "--cluster-name", name,
			"--resume-for", resumeFor, "--drain-period", "100ms", "--close-timeout", "300ms"})...)
	}
	again = func() *gateway { return start("y", "--resume-state", file) }
	x, y = start("x"), again()
	x.awaitInstances(t, 1)
	y.awaitInstances(t, 1)
	return x, y, file, again
}

// isToldToComeBack requires a handshake with the token to be answered with 503.
func (c *roamer) isToldToComeBack(t *testing.T, g *gateway) {
	t.Helper()
	_, response, err := g.TryConnect(t, visitor{User: "ann", Subprotocols: strings.Split(c.offer(), ", ")})
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "2" {
		t.Fatalf("the handshake is answered %+v, %v", response, err)
	}
}

func TestAClientKeepsItsSessionAtAnotherGatewayWhileItsOwnRestarts(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	x, y, _, again := startReturning(t, app, "10m")
	c := y.roam(t, "ann")
	conn := app.opened("ann")
	var want []string
	for round := range 3 {
		for n := range 5 {
			x.reaches(fmt.Sprint(5*round+n), "ann") // before y stops
			want = append(want, fmt.Sprint("text ", 5*round+n))
			if err := c.trySay(opText, numbered(5*round+n)); err != nil {
				t.Fatal(err)
			}
		}
		y.stop(t)
		c.ended() // what is in the kernel arrives or not
		c.farewell = ""
		for range 3 {
			c.isToldToComeBack(t, x)
		}
		x.expectMetric(t, relayRefusals("restarting"), float64(3*(round+1)))
		y = again()
		y.found(t, "taken", 1)
		x.awaitInstances(t, 1)
		harness.Poll(t, "the session", func() bool {
			err := c.at(x).tryConnect()
			if err == nil && !c.Resumed {
				t.Fatalf("the session is lost: %+v", c.greeting)
			}
			return err == nil
		})
		c.expectGot(want...)
		c.settled()
	}
	app.inOrder(t, "ann", len(want))
	c.say(frame(fin|opClose, closePayload(4000, "")))
	app.whole(t, conn)
}

func TestAGatewayThatDoesNotComeBackIsNotWaitedForLongerThanItsSessions(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	x, y, _, _ := startReturning(t, app, "3s")
	c := y.roam(t, "ann")
	app.opened("ann")
	y.stop(t)
	told := 0.0
	harness.Poll(t, "a new session", func() bool {
		was := c.ID
		if err := c.at(x).tryConnect(); err != nil {
			told++
			return false
		}
		if c.Resumed || c.ID == was {
			t.Fatalf("%+v", c.greeting)
		}
		return true
	})
	x.expectMetric(t, relayRefusals("restarting"), told)
	x.expectMetric(t, relayRefusals("gone"), 1)
}

// A gateway of the name with other ids has no file: nobody needs to be waited for.
func TestAGatewayThatComesBackWithoutItsFileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	x, y, file, again := startReturning(t, app, "10m")
	c := y.roam(t, "ann")
	app.opened("ann")
	y.stop(t)
	c.isToldToComeBack(t, x)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	again()
	x.awaitInstances(t, 1)
	c.at(x).begin()
}
