package e2e_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/badlink"
	"ws-gateway/e2e/harness"
)

func TestConnectThatIsCutAgainAndAgainLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "40ms", "--away", "20ms")
	conn := app.opened("alice")
	r.shows(r.notes, conn, "can be resumed within 10m0s")
	const each = 200
	for n := range each {
		fmt.Fprintln(r.stdin, numbered(n))
		g.send(fmt.Sprintf(`{"conn_id":"%s","payload":"\u001e heard %d","encoding":"text"}`, conn, n))
	}
	app.message("alice", each)
	harness.Poll(t, "five returns", func() bool { return len(r.notes.MatchingNow("resumed after ")) >= 5 })
	r.shows(r.output, fmt.Sprintf("heard %d", each-1))
	for i, line := range r.output.All() {
		if want := fmt.Sprintf(`\x1e heard %d`, i); line.Raw != want {
			t.Errorf("line %d is %q, want %q", i, line.Raw, want)
		}
	}
	r.interrupted()
	if closed := app.closed("alice"); closed.event.Conn != conn || closed.event.Code != 1000 {
		t.Errorf("the close event is %+v", closed.event)
	}
	app.inOrder(t, "alice", each)
}

func TestConnectSaysWhatBecameOfASessionThatIsLost(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1s")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "100ms", "--away", "3s")
	first := app.opened("alice")
	r.shows(r.notes, "cut; back in 3s")
	if closed := app.closed("alice"); closed.event.Conn != first || closed.event.Code != 1006 {
		t.Errorf("the close event is %+v", closed.event)
	}
	r.shows(r.notes, "session lost: after ", "this is connection ")
	r.interrupted()
}

func TestConnectEndsWithTheCloseThatWaitedForIt(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "100ms", "--away", "1s")
	conn := app.opened("alice")
	g.awaitMetric(t, "ws_gateway_connections_away", 1)
	g.closeConns(`{"conns":["` + conn + `"],"code":4001,"reason":"signed out"}`)
	r.shows(r.notes, "closed by the server: 4001 signed out")
	r.ends(3)
}

func TestConnectComesBackAtTheEndOfItsInputWithWhatWaits(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "100ms", "--away", "1s", "--wait", "1ms")
	app.opened("alice")
	r.shows(r.notes, "cut; back in 1s")
	fmt.Fprintln(r.stdin, "\x1ewhile away")
	r.stdin.Close()
	r.ends(0)
	if got := string(app.message("alice", 1).event.Data); got != `"\u001ewhile away"` {
		t.Errorf("the app got %s", got)
	}
	if closed := app.closed("alice"); closed.event.Code != 1000 {
		t.Errorf("the close event is %+v", closed.event)
	}
}

func TestConnectThatIsInterruptedWhileAwayComesBackToEndItsSession(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "50ms", "--away", "1h")
	app.opened("alice")
	g.awaitMetric(t, "ws_gateway_connections_away", 1)
	r.interrupted()
	if closed := app.closed("alice"); closed.event.Code != 1000 {
		t.Errorf("the close event is %+v", closed.event)
	}
}

func TestConnectLooksForAWayBackUntilCtrlC(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1s")
	r := startCLI(t, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume")
	r.shows(r.notes, "can be resumed within 1s")
	g.Signal(syscall.SIGKILL)
	r.shows(r.notes, "connection lost: ")
	r.interrupted()
}

// Nothing but the missing answer to its acknowledgement tells: there are no pings, and the
// line takes whatever is written to it.
func TestConnectNoticesASilentLineByTheMissingAnswer(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m")
	l, err := badlink.New(netip.MustParseAddrPort(g.Addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	r := startCLI(t, "connect", "ws://"+l.Addr()+"/ws", "--user", "alice", "--resume", "--ping", "0s")
	conn := app.opened("alice")
	r.shows(r.notes, "can be resumed within 10m0s")
	l.Stall(true)
	fmt.Fprintln(r.stdin, numbered(0))
	r.shows(r.notes, "connection lost: no answer")
	l.Stall(false)
	r.shows(r.notes, "resumed after ")
	fmt.Fprintln(r.stdin, numbered(1))
	app.message("alice", 2)
	r.interrupted()
	if closed := app.closed("alice"); closed.event.Conn != conn || closed.event.Code != 1000 {
		t.Errorf("the close event is %+v", closed.event)
	}
	app.inOrder(t, "alice", 2)
}

func TestConnectSaysThatAGatewayCannotResume(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	got := cli(t, "\x1e1\n", nil, "connect", "ws://"+g.Addr+"/ws", "--user", "alice", "--resume", "--cut", "1h")
	if got.code != 0 || got.stdout != "" || !strings.Contains(got.stderr, "cannot resume") {
		t.Errorf("%+v", got)
	}
	if data := string(app.message("alice", 1).event.Data); data != `"\u001e1"` {
		t.Errorf("the app got %s", data)
	}
	cli(t, "", nil, "connect", "ws://"+g.Addr+"/ws", "--cut", "1s").failed(t, exitUsage, "--resume")
}
