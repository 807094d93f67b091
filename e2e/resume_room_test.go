package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
)

// from is a client's address, as a proxy tells it.
func from(addr, user string) []string {
	return []string{"X-Bfl-User: " + user, "X-Forwarded-For: " + addr}
}

// One client needs one socket to leave as many sessions behind as there may be connections.
func TestWhoLeavesManySessionsBehindKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	const most, honest = 60, 6
	app := startApp(t)
	g := startGateway(t, app, "--loops", "1", "--max-connections", fmt.Sprint(most), "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")
	var good []*roamer
	for n := range honest {
		c := &roamer{t: t, g: g, lines: from(fmt.Sprint("192.0.2.", n), fmt.Sprint("good", n))}
		c.connect()
		c.cut()
		good = append(good, c)
	}
	g.awaitAway(t, honest)
	for n := range 3 * most {
		c := &roamer{t: t, g: g, lines: from("203.0.113.1", fmt.Sprint("bad", n))}
		c.connect()
		c.cut()
		g.awaitAway(t, float64(min(honest+n+1, most)))
	}
	gaveWay := float64(3*most + honest - most)
	g.expectMetric(t, "ws_gateway_resume_gave_way_total", gaveWay)
	newcomer := g.Dial(t, "ann")
	g.send(`{"users":["ann","good0"],"payload":1}`)
	newcomer.Receive("1")
	g.expectMetric(t, "ws_gateway_resume_gave_way_total", gaveWay+1)
	for n, c := range good {
		c.resume()
		if n == 0 {
			c.expectGot("text 1")
		}
	}
	closed := 0
	app.awaitThat("the close events", func() bool {
		closed = 0
		for _, call := range app.calls {
			if call.event.Action == "close" {
				closed++
			}
		}
		return closed >= int(gaveWay)+1
	})
	if closed != int(gaveWay)+1 {
		t.Errorf("%d have ended", closed)
	}
}

// With a connection each, nobody has more than another one: the one that is away for longest
// gives way. The app is asked first, and nobody gives way to whom it refuses.
func TestAtTheLimitWhoIsAwayForLongestGivesWayToWhomTheAppAccepts(t *testing.T) {
	t.Parallel()
	b := startBouncer(t, func(w http.ResponseWriter, e event) {
		if e.User == "eve" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	g := b.guarded(t, "--loops", "1", "--max-connections", "2", "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")
	first, second := &roamer{t: t, g: g, lines: from("192.0.2.1", "first")}, &roamer{t: t, g: g, lines: from("192.0.2.2", "second")}
	for n, c := range []*roamer{first, second} {
		c.connect()
		c.cut()
		g.awaitAway(t, float64(n+1))
	}
	g.refuses(t, visitor{User: "eve"}, 403)
	g.expectMetric(t, "ws_gateway_connections_away", 2)
	g.Dial(t, "ann")
	g.expectMetric(t, "ws_gateway_connections_away", 1)
	second.resume()
	g.refuses(t, visitor{User: "bob"}, 503) // nobody is away
}
