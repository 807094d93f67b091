package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
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
	g := startGateway(t, app, "--loops", "2", "--max-connections", fmt.Sprint(most), "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")
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
	g := b.guarded(t, "--loops", "2", "--max-connections", "2", "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")
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

// loopOf is the loop that has a connection: the byte behind the instance in its id.
func loopOf(t *testing.T, id string) byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(id, "="))
	if err != nil || len(raw) < 10 {
		t.Fatalf("id %q: %v", id, err)
	}
	return raw[9]
}

// leaveOn leaves a session behind that a loop has.
func (g *gateway) leaveOn(t *testing.T, loop byte, addr, user string) *roamer {
	t.Helper()
	for {
		c := &roamer{t: t, g: g, lines: from(addr, user)}
		c.connect()
		if loopOf(t, c.ID) == loop {
			c.cut()
			return c
		}
		c.say(frame(fin|opClose, closePayload(1000, "")))
		c.expect(fin|opClose, closePayload(1000, ""))
	}
}

// Whichever loop has the newcomer, who has most gives way, and nobody is refused.
func TestWhoHasMostOnAnotherLoopGivesWay(t *testing.T) {
	t.Parallel()
	const bad, honest, newcomers = 30, 10, 24
	app := startApp(t)
	g := startGateway(t, app, "--loops", "2", "--max-connections", fmt.Sprint(bad+honest), "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")
	var good []*roamer
	for n := range bad {
		g.leaveOn(t, 0, "203.0.113.1", fmt.Sprint("bad", n))
		g.awaitAway(t, float64(n+1))
	}
	for n := range honest {
		good = append(good, g.leaveOn(t, 1, fmt.Sprint("192.0.2.", n), fmt.Sprint("good", n)))
		g.awaitAway(t, float64(bad+n+1))
	}
	before := g.metricNow(t, "ws_gateway_resume_gave_way_total")
	for n := range newcomers {
		g.Dial(t, fmt.Sprint("new", n))
	}
	g.awaitMetric(t, "ws_gateway_resume_gave_way_total", before+newcomers)
	for _, c := range good {
		c.resume()
	}
	g.expectMetric(t, "ws_gateway_resume_gave_way_total", before+newcomers)
}

// A smaller limit keeps newcomers out, as it does without sessions that can be resumed.
func TestNobodyGivesWayToANewcomerThatIsRefused(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	k := newRestarts(t, app)
	g := k.start("--loops", "2")
	var all []*roamer
	for n := range 6 {
		c := g.roam(t, fmt.Sprint("user", n))
		c.cut()
		g.awaitAway(t, float64(n+1))
		all = append(all, c)
	}
	g.stop(t)
	g = k.start("--loops", "2", "--max-connections", "5")
	for n := range 4 {
		g.refuses(t, visitor{User: fmt.Sprint("late", n)}, 503)
	}
	g.expectMetric(t, "ws_gateway_resume_gave_way_total", 0)
	for _, c := range all {
		c.g = g
		c.resume()
	}
}

// A user whose app has crashed has no token, and a neighbour behind the same address may have
// left any number of sessions behind.
func TestWhoIsAwayKeepsNeitherUserNorAddressOut(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"user":    {"--max-connections-per-user", "2"},
		"address": {"--max-connections-per-ip", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			g := startGateway(t, app, append(args, "--loops", "2", "--resume-for", "10m", "--trusted-proxies", "127.0.0.0/8")...)
			other := &roamer{t: t, g: g, lines: from("192.0.2.9", "other")}
			other.connect()
			other.cut()
			g.awaitAway(t, 1)
			addr, user := "192.0.2.1", "me"
			var mine []*roamer
			for n := range 2 {
				if name == "address" {
					user = fmt.Sprint("me", n)
				} else {
					addr = fmt.Sprint("192.0.2.", n)
				}
				c := &roamer{t: t, g: g, lines: from(addr, user)}
				c.connect()
				c.cut()
				g.awaitAway(t, float64(n+2))
				mine = append(mine, c)
			}
			for n := range 2 {
				c := &roamer{t: t, g: g, lines: from(addr, user)}
				c.connect()
				g.awaitMetric(t, "ws_gateway_resume_gave_way_total", float64(n+1))
				if n == 0 {
					app.awaitThat("the end of the session that was away for longest", func() bool {
						for _, call := range app.calls {
							if call.event.Action == "close" {
								return call.event.Conn == mine[0].ID && call.event.Code == 1006
							}
						}
						return false
					})
				}
			}
			g.refuses(t, visitor{User: user, Header: map[string]string{"X-Forwarded-For": addr}}, 429)
			other.resume()
		})
	}
}
