package e2e_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestOnlyTrustedProxiesSayWhoTheClientIs(t *testing.T) {
	t.Parallel()
	const claim = "203.0.113.7"
	for _, test := range []struct {
		name    string
		args    []string
		header  map[string]string
		claimed bool
	}{
		{"nobody is trusted", nil, map[string]string{"X-Forwarded-For": claim}, false},
		{"others are trusted", []string{"--trusted-proxies", "192.0.2.0/24"}, map[string]string{"X-Forwarded-For": claim}, false},
		{"loopback is trusted", []string{"--trusted-proxies", "192.0.2.1,127.0.0.0/8"}, map[string]string{"X-Forwarded-For": "1.2.3.4, " + claim}, true},
		{"the standard's header", []string{"--trusted-proxies", "127.0.0.1"}, map[string]string{"Forwarded": `for=1.2.3.4, for="` + claim + `"`}, true},
		{"two headers that differ", []string{"--trusted-proxies", "127.0.0.1"}, map[string]string{"Forwarded": "for=1.2.3.4", "X-Forwarded-For": claim}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t)
			g := startGateway(t, app, test.args...)
			c := g.Connect(t, visitor{User: "alice", Header: test.header})
			want := c.Local()
			if test.claimed {
				want = claim
			}
			open := app.awaitCall("open", func(c *call) bool { return c.is("open", "alice") })
			if got := open.event.Request.RemoteAddr; got != want {
				t.Errorf("the open event says %q, want %q", got, want)
			}
			if users, _ := g.list(""); len(users["alice"]) != 1 || users["alice"][0].RemoteAddr != want {
				t.Errorf("the list says %+v, want %q", users, want)
			}
		})
	}
}

func TestAProxyThatIsTrustedForItsClientsIsNoTrustedManager(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--trusted-proxies", "127.0.0.1")
	if a := g.get(listPath, "X-Forwarded-For: 127.0.0.1"); a.status != http.StatusForbidden {
		t.Errorf("a request that was passed on was answered with %d", a.status)
	}
	if a := g.get(listPath); a.status != http.StatusOK {
		t.Errorf("the app's own request was answered with %d", a.status)
	}
}

func TestConnectionsOverTheLimitOfAnAddressAreAnswered429UntilOneGoes(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--max-connections-per-ip", "2", "--trusted-proxies", "127.0.0.1")
	at := func(user, address string) visitor {
		return visitor{User: user, Header: map[string]string{"X-Forwarded-For": address}}
	}
	first := g.Connect(t, at("a", "2001:db8:0:1::1"))
	g.Connect(t, at("b", "2001:db8:0:1::2"))
	_, response, err := g.TryConnect(t, at("c", "2001:db8:0:1:ffff::3"))
	if err == nil || response == nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Fatalf("the third of a /64: %v %v", response, err)
	}
	g.Connect(t, at("d", "2001:db8:0:2::1"))
	g.Connect(t, at("e", "203.0.113.7"))
	first.Close(websocket.StatusNormalClosure, "")
	app.closed("a")
	g.eventuallyAccepts(t, at("f", "2001:db8:0:1::6"))
	g.awaitMetric(t, `ws_gateway_upgrades_refused_total{reason="max_connections_per_ip"}`, 1)
}

func TestAClientOverItsMessageRateIsSlowedDownAndLosesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--message-rate", "20", "--message-burst", "20")
	flood := g.rawClient(t, "flood")
	const messages = 100
	start := time.Now()
	for n := range messages {
		flood.say(frame(fin|opText, strconv.Itoa(n)))
	}
	// Nobody else notices.
	other := g.Dial(t, "other")
	other.Send(`{"event":"ping"}`)
	other.Receive(`{"event":"pong"}`)
	other.Send(`"hello"`)
	app.message("other", 1)

	app.message("flood", messages)
	if took, least := time.Since(start), (messages-21)*time.Second/20; took < least {
		t.Errorf("%d messages took %v, at the rate it is %v at least", messages, took, least)
	}
	for n, c := range app.accepted(func(c *call) bool { return c.is("message", "flood") }) {
		if string(c.event.Data) != strconv.Itoa(n) {
			t.Fatalf("message %d is %s", n, c.event.Data)
		}
	}
	g.awaitMetric(t, `ws_gateway_over_rate_total{reason="messages"}`, 3)
	g.awaitMetric(t, `ws_gateway_read_pauses_total`, 3)
	if n := g.connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAMessageOverTheByteBurstArrivesWhenItIsPaidFor(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--byte-rate", "64KiB", "--byte-burst", "64KiB")
	c := g.Dial(t, "alice")
	start := time.Now()
	c.Send(`"` + strings.Repeat("x", 256<<10) + `"`)
	app.message("alice", 1)
	// 64 KiB at once, and as much again in the read that makes the debt.
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("256 KiB at 64 KiB a second took %v", took)
	}
	c.Send(`"small"`)
	if got := app.message("alice", 2).event.Data; string(got) != `"small"` {
		t.Errorf("the next message is %s", got)
	}
	g.awaitMetric(t, `ws_gateway_over_rate_total{reason="bytes"}`, 1)
}

func TestWithTheOtherPolicyAClientOverItsRateIsClosed(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--message-rate", "5", "--byte-rate", "1KiB", "--rate-policy", "close")
	pings := g.rawClient(t, "pings")
	// All at once: nothing is granted between them.
	pings.say(strings.Repeat(frame(fin|opPing, ""), 11))
	for range 11 { // each was answered before it was counted
		pings.expect(fin|opPong, "")
	}
	if reason := pings.expectClose(1008); reason != "rate limit" {
		t.Errorf("closed for %q", reason)
	}
	app.closedAs(t, "pings", 1008, "gateway")

	// A message of the largest size is no offence, a second one is.
	bytes := g.Dial(t, "bytes")
	bytes.Send(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	app.message("bytes", 1)
	_ = bytes.Write(websocket.MessageText, `"`+strings.Repeat("x", 1<<20-2)+`"`)
	app.closedAs(t, "bytes", 1008, "gateway")
	g.awaitMetric(t, `ws_gateway_closed_total{cause="rate_limited"}`, 2)
}

func TestConnectionsOverTheAcceptRateWaitAndAreServed(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--accept-rate", "20", "--accept-burst", "5")
	harness.Poll(t, "connections to wait", func() bool { // unless a busy machine makes them slower than the rate
		start := time.Now()
		for _, r := range g.knock(t, 45) {
			if response, _ := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("answered %d", response.StatusCode)
			}
		}
		if took := time.Since(start); took < 1900*time.Millisecond {
			t.Errorf("45 connections were taken in %v, at the rate it is 1.95s at least", took)
		}
		return g.metricNow(t, `ws_gateway_accept_waits_total`) > 0
	})
}

// dropped requires the gateway to end the connection without an answer.
func (r *raw) dropped() {
	r.t.Helper()
	if response, _, err := r.tryResponse(); err == nil {
		r.t.Errorf("answered %d", response.StatusCode)
	}
}

func TestAHandshakeThatDawdlesGivesWayToANewcomer(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-handshaking", "4", "--loops", "1", "--handshake-timeout", "10m")
	slow := make([]*raw, 6)
	for n := range slow {
		slow[n] = g.raw(t)
		slow[n].say("GET /ws HTTP/1.1\r\n")
	}
	// Asking for the metrics takes a place, too.
	g.awaitMetric(t, `ws_gateway_handshakes_dropped_total`, 2)
	slow[0].dropped()
	slow[1].dropped()
	last := slow[5]
	last.say(strings.TrimPrefix(g.handshake(), "GET /ws HTTP/1.1\r\n") + "\r\n")
	if response, body := last.response(); response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("the newest was answered with %d %q", response.StatusCode, body)
	}
	g.expectMetric(t, `ws_gateway_handshake_timeouts_total`, 0)
}

func TestWhenDescriptorsAreShortHandshakesThatDawdleMakeRoom(t *testing.T) {
	t.Parallel()
	g := launch{
		args:        []string{"--no-callback", "--max-handshaking", "100000", "--handshake-timeout", "10m", "--callback-concurrency", "1"},
		descriptors: 128,
	}.start(t)
	for range 200 {
		g.raw(t).say("GET /ws HTTP/1.1\r\n")
	}
	c := g.Dial(t, "alice")
	c.Send(`{"event":"ping"}`)
	c.Receive(`{"event":"pong"}`)
	g.awaitMetric(t, `ws_gateway_handshakes_dropped_total`, 1)
	g.expectMetric(t, `ws_gateway_handshake_timeouts_total`, 0)
}

// Each limit is reached once and counted. What exactly happens to the client is
// for the tests of the limits to say.
func TestEveryLimitHasAMetricThatTellsWhenItWasReached(t *testing.T) {
	t.Parallel()
	knock := func(lines ...string) func(*testing.T, *gateway) {
		return func(t *testing.T, g *gateway) {
			r := g.raw(t)
			r.say(g.handshake(lines...) + "\r\n")
			r.response()
		}
	}
	twice := func(t *testing.T, g *gateway) {
		g.Dial(t, "alice")
		knock("X-Bfl-User: alice")(t, g)
	}
	stuck := func(t *testing.T, g *gateway) {
		g.Connect(t, visitor{User: "stuck", ReceiveSpace: 4096})
		for range 20 {
			g.post(sendPath, payloadOf(1<<20, `["stuck"]`))
		}
	}
	silent := func(t *testing.T, g *gateway) { g.rawClient(t, "silent") }
	for _, limit := range []struct {
		args   string
		reach  func(t *testing.T, g *gateway)
		series string
	}{
		{"--max-connections 1", twice, `upgrades_refused_total{reason="max_connections"}`},
		{"--max-connections-per-user 1", twice, `upgrades_refused_total{reason="max_connections_per_user"}`},
		{"--max-connections-per-ip 1", twice, `upgrades_refused_total{reason="max_connections_per_ip"}`},
		{"--allowed-origins https://a.example", knock("Origin: https://b.example"), `upgrades_refused_total{reason="origin"}`},
		{"--require-user", knock(), `upgrades_refused_total{reason="user"}`},
		{"--max-header-bytes 1KiB", knock("X-Big: " + strings.Repeat("a", 1<<10)), `handshake_errors_total`},
		{"", knock("X-Smuggled : a"), `handshake_errors_total`},
		{"--handshake-timeout 1s", func(t *testing.T, g *gateway) { g.raw(t) }, `handshake_timeouts_total`},
		{"--ping-timeout 1s", silent, `closed_total{cause="ping_timeout"}`},
		{"--write-timeout 1s --max-pending-bytes 64MiB", stuck, `closed_total{cause="slow_consumer"}`},
		{"--max-pending-bytes 1MiB", stuck, `closed_total{cause="slow_consumer"}`},
		{"--close-timeout 1s", func(t *testing.T, g *gateway) {
			silent(t, g)
			g.closeConns(`{"all":true}`)
		}, `close_timeouts_total`},
		{"--max-message-size 1KiB", func(t *testing.T, g *gateway) {
			g.rawClient(t, "big").say(frame(fin|opText, strings.Repeat("x", 1025)))
		}, `closed_total{cause="message_too_big"}`},
		{"--message-memory 64KiB --max-message-size 64KiB --loops 1", func(t *testing.T, g *gateway) {
			for range 2 {
				g.rawClient(t, "part").say(frame(opText, strings.Repeat("x", 40<<10)))
			}
		}, `closed_total{cause="over_capacity"}`},
		{"--header-memory 64KiB", func(t *testing.T, g *gateway) {
			for range 3 {
				knock("Cookie: "+strings.Repeat("c", 30<<10))(t, g)
			}
		}, `memory_gave_way_total{budget="headers"}`},
		{"--header-memory 64KiB --max-handshaking 100", func(t *testing.T, g *gateway) {
			for range 4 {
				g.raw(t).say(g.handshake("Cookie: " + strings.Repeat("c", 20<<10)))
			}
		}, `memory_gave_way_total{budget="headers"}`},
		{"--outbox-memory 1MiB --max-pending-bytes 64MiB --socket-buffer 64KiB", stuck, `memory_gave_way_total{budget="outboxes"}`},
		{"--socket-memory 1MiB --max-pending-bytes 64MiB --outbox-memory 1GiB", stuck, `memory_gave_way_total{budget="sockets"}`},
		{"--message-memory 64KiB --max-message-size 64KiB", func(t *testing.T, g *gateway) {
			for range 4 { // of different loops
				g.rawClient(t, "part").say(frame(opText, strings.Repeat("x", 40<<10)))
			}
		}, `memory_gave_way_total{budget="messages"}`},
		{"--api-memory 64KiB", func(t *testing.T, g *gateway) {
			for range 2 {
				r := g.raw(t)
				r.say("POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 20_000))
			}
		}, `memory_gave_way_total{budget="api"}`},
	} {
		t.Run(strings.ReplaceAll(limit.args, "--", ""), func(t *testing.T) {
			t.Parallel()
			g := startPushOnly(t, strings.Fields(limit.args)...)
			g.expectMetric(t, "ws_gateway_"+limit.series, 0)
			limit.reach(t, g)
			g.awaitMetric(t, "ws_gateway_"+limit.series, 1)
		})
	}
}
