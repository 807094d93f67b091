package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

// knock opens n TCP connections with a complete handshake on each, and waits
// for nothing.
func (g *gateway) knock(t testing.TB, n int) (knocking []*raw) {
	t.Helper()
	for i := range n {
		r := g.raw(t)
		r.say(g.handshake(fmt.Sprintf("X-Bfl-User: user%d", i)) + "\r\n")
		knocking = append(knocking, r)
	}
	return knocking
}

func TestWhenDescriptorsRunOutTheGatewaySaysSoOnceAndRecovers(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := launch{
		app:         app,
		args:        []string{"--max-connections", "100000", "--callback-concurrency", "4"},
		descriptors: 128,
	}.start(t)
	knocking := g.knock(t, 250)
	outOfDescriptors := func(l logLine) bool {
		return strings.Contains(l.Raw, "too many open files") && l.Text("listen") != ""
	}
	if _, ok := g.Log.Await(harness.Patience, outOfDescriptors); !ok {
		t.Fatal("the log does not say that descriptors ran out")
	}

	// Some are served, the others wait in the kernel's queue. Whoever is served
	// makes room by leaving, until everybody has been served.
	var leaving sync.WaitGroup
	for i, r := range knocking {
		leaving.Go(func() {
			response, _, err := r.tryResponse()
			if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("connection %d was not upgraded: %v %v", i, response, err)
			}
			r.Close()
		})
	}
	leaving.Wait()
	app.awaitThat("a close event of everybody", func() bool { return app.ended == 250 })
	if n := len(app.lives); n != 250 {
		t.Errorf("the app knows %d connections, want 250", n)
	}
	g.Dial(t, "afterwards")
	app.opened("afterwards")
	if a := g.get(countPath); a.status != http.StatusOK {
		t.Errorf("count answered %d", a.status)
	}
	said := 0
	for _, line := range g.Log.All() {
		if outOfDescriptors(line) {
			said++
		}
	}
	if said != 1 {
		t.Errorf("the log says %d times that descriptors ran out, want once", said)
	}
}

func TestByDefaultTheDescriptorLimitBecomes503sAndTheAPIStillAnswers(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := launch{app: app, args: []string{"--callback-concurrency", "8"}, descriptors: 128}.start(t)
	var connected []*raw
	refused := 0
	for range 200 {
		r := g.knock(t, 1)[0]
		switch response, _ := r.response(); response.StatusCode {
		case http.StatusSwitchingProtocols:
			connected = append(connected, r)
		case http.StatusServiceUnavailable:
			refused++
			if response.Header.Get("Retry-After") == "" {
				t.Error("a refusal without Retry-After")
			}
			r.Close()
		default:
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if len(connected) < 40 || refused == 0 {
		t.Errorf("%d upgraded and %d refused under a limit of 128", len(connected), refused)
	}
	if n := g.connections(); n != len(connected) {
		t.Errorf("%d connections are counted, want %d", n, len(connected))
	}
	if lines := g.Log.MatchingNow("too many open files"); len(lines) != 0 {
		t.Errorf("descriptors ran out all the same: %s", lines[0].Raw)
	}
	for _, r := range connected {
		r.Close()
	}
	g.eventuallyAccepts(t, visitor{User: "afterwards"})
}

func TestACrowdAtOnceUnderTheDescriptorLimitIsAnsweredToTheLast(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := launch{app: app, args: []string{"--callback-concurrency", "8"}, descriptors: 128}.start(t)
	upgraded := 0
	for i, r := range g.knock(t, 250) {
		switch response, _ := r.response(); response.StatusCode {
		case http.StatusSwitchingProtocols:
			upgraded++
		case http.StatusServiceUnavailable:
			r.Close()
		default:
			t.Errorf("connection %d: status %d", i, response.StatusCode)
		}
	}
	if n := g.connections(); n != upgraded {
		t.Errorf("%d connections are counted, want %d", n, upgraded)
	}
}
