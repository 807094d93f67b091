package e2e_test

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// visit connects, says two things and leaves, all in one breath, and waits for the end
// of the connection, whatever it is.
func (g *gateway) visit(user string) error {
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(harness.Soon()); err != nil {
		return err
	}
	_, err = io.WriteString(conn, g.handshake("X-Bfl-User: "+user)+"\r\n"+
		frame(fin|opText, `1`)+frame(fin|opText, `2`)+frame(fin|opClose, closePayload(1000, "")))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// docs/protocol.md, Duplicates: what an app that acts once has to remember of a
// connection.
type memory struct {
	last   int
	closed bool
}

// acts reports whether the app acts on an event, or takes it for a repetition.
func (m *memory) acts(c *call) bool {
	if m.closed || c.seq <= m.last {
		return false
	}
	m.last, m.closed = c.seq, c.event.Action == "close"
	return true
}

func TestAfterAKillUnderLoadEveryRepetitionIsToldByTheRuleOfTheDocuments(t *testing.T) {
	t.Parallel()
	const rounds, visitors, visits = 3, 24, 300
	app, dir := startApp(t), filepath.Join(t.TempDir(), "journal")
	app.Mu.Lock()
	app.killed = true
	app.Mu.Unlock()
	for round := range rounds {
		g := startGateway(t, app, "--journal", dir)
		app.Mu.Lock()
		enough := app.ended + visits
		app.Mu.Unlock()
		var all sync.WaitGroup
		for v := range visitors {
			all.Go(func() {
				for n := 0; g.visit(fmt.Sprintf("%d-%d-%d", round, v, n)) == nil; n++ {
				}
			})
		}
		app.awaitThat("enough visits", func() bool { return app.ended >= enough })
		g.kill()
		all.Wait()
	}
	g := startGateway(t, app, "--journal", dir)
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}

	app.Mu.Lock()
	defer app.Mu.Unlock()
	repeated, lost := 0, 0
	for conn, l := range app.lives {
		var m memory
		acted := make(map[string]int)
		for _, c := range l.calls {
			if !c.accepted() {
				continue
			}
			if c.lost() {
				lost++
			}
			if m.acts(c) {
				acted[c.event.Action]++
				continue
			}
			repeated++
			if c.attempt == 1 && !c.lost() {
				t.Errorf("%s came again as a first attempt", c.requestID)
			}
		}
		if acted["close"] != 1 || acted["open"] > 1 || acted["message"] > 2 {
			t.Errorf("connection %s: the app has acted on %v", conn, acted)
		}
	}
	t.Logf("%d connections, %d closed by a later start, %d repetitions", len(app.lives), lost, repeated)
}
