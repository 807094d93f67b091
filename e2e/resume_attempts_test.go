package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// attempt is a handshake of the client whose answer nobody waits for.
func (c *roamer) attempt(g *gateway) net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	lines := append(c.lines[:len(c.lines):len(c.lines)], "Sec-WebSocket-Protocol: "+c.offer())
	if _, err := io.WriteString(conn, c.g.handshake(lines...)+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// returns connects until the session goes on, as a client does that is told to come back, or
// whose connection is lost before it is greeted. A new session is an error.
func (c *roamer) returns() error {
	for {
		switch err := c.tryConnect(); {
		case err == nil && !c.Resumed:
			return fmt.Errorf("a new session: %+v", c.greeting)
		case err == nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), strings.HasPrefix(err.Error(), "status 503"):
		default:
			return err
		}
	}
}

// goesOn requires the client's session to take what it says, on this connection or the next.
func (c *roamer) goesOn() error {
	for c.settle() != nil {
		if err := c.returns(); err != nil {
			return err
		}
	}
	return nil
}

// relaysClients waits until so many clients are relayed, or wait for it. On a busy machine
// one of them may have been told to come back already.
func (g *gateway) relaysClients(t *testing.T, n, refused float64) {
	t.Helper()
	harness.Poll(t, fmt.Sprintf("%v clients that are relayed", n), func() bool {
		return g.metricNow(t, relayedClients) == n || n > 0 && g.metricNow(t, relayRefusals("broken")) > refused
	})
}

// A client's attempt is held up between the gateways. It makes another one, which overtakes
// the first, or arrives together with it. The session is lost in none of these ways, and the
// app is told of none.
func TestWhicheverAttemptOfAClientArrivesFirstItsSessionGoesOn(t *testing.T) {
	t.Parallel()
	nats, app := startNATS(t), startApp(t)
	var all []*gateway
	var proxies []natstest.Proxy
	for i := range 3 {
		proxies = append(proxies, natstest.StartProxy(t, nats))
		all = append(all, startGateway(t, app, "--cluster", proxies[i].URL(), "--cluster-app", "shop", "--cluster-name", memberName(i),
			"--cluster-timeout", "1m", "--cluster-dead-after", "10m", "--resume-for", "5m", "--max-connections-per-user", "1"))
	}
	for _, g := range all {
		g.awaitOthers(t, 2, 0)
	}
	home, held := all[0], all[1]
	c := home.roam(t, "ann")
	conn, said := app.opened("ann"), 0
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		at := random.IntN(3)                  // where the second attempt is made
		gone := random.IntN(4) > 0            // the client has ended the first one's connection
		speaks := gone && random.IntN(2) == 0 // on the second one's, before the first arrives
		check := func(err error) {
			t.Helper()
			if err != nil || c.ID != conn {
				t.Fatalf("round %d, at gateway %d, gone %v, speaks %v: %v, %+v", round, at, gone, speaks, err, c.greeting)
			}
		}
		if random.IntN(2) == 0 {
			c.cut()
		}
		before := c.raw
		check(c.at(home).returns())
		before.Close()
		held.relaysClients(t, 0, 0)
		broken := held.metricNow(t, relayRefusals("broken"))
		proxies[1].Stall(true)
		first := c.attempt(held)
		held.relaysClients(t, 1, broken)
		if gone {
			first.Close()
		}
		c.at(all[at])
		returned := make(chan error, 1)
		go func() { returned <- c.returns() }()
		if all[at] == held {
			if !gone {
				held.relaysClients(t, 2, broken)
			}
			proxies[1].Stall(false)
		}
		check(<-returned)
		if speaks {
			c.trySay(opText, numbered(said)) // now or after the next resume
			said++
			check(c.goesOn())
		}
		proxies[1].Stall(false)
		if !gone {
			io.ReadFull(first, make([]byte, 1)) // it has arrived
			first.Close()
		}
		check(c.goesOn())
	}
	c.trySay(opText, numbered(said))
	if err := c.goesOn(); err != nil {
		t.Fatal(err)
	}
	app.inOrder(t, "ann", said+1)
	if told := app.attempts(func(call *call) bool { return call.event.Action != "message" }); len(told) != 1 {
		t.Errorf("the app was told of %d opens and closes", len(told))
	}
}
