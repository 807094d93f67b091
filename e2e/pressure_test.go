package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// flood writes stream until TCP takes no more of it for a second, and returns
// what is left. It fails the test if everything was taken.
func (r *raw) flood(stream string) (rest string) {
	r.t.Helper()
	if err := r.SetWriteBuffer(64 << 10); err != nil {
		r.t.Fatal(err)
	}
	for len(stream) > 0 {
		if err := r.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			r.t.Fatal(err)
		}
		n, err := io.WriteString(r, stream)
		stream = stream[n:]
		if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
			break
		} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatalf("writing: %v", err)
		}
	}
	if stream == "" {
		r.t.Fatal("the gateway took everything: nothing pushes back on this client")
	}
	if err := r.SetDeadline(harness.Soon()); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

// bulky is a stream of n numbered messages of size bytes each, and the data
// that they should arrive as.
func bulky(n, size int) (stream string, want []string) {
	var s strings.Builder
	for i := range n {
		message := fmt.Sprintf(`{"n":%d,"fill":"`, i)
		message += strings.Repeat("x", size-len(message)-2) + `"}`
		want = append(want, message)
		s.WriteString(frame(fin|opText, message))
	}
	return s.String(), want
}

// arrived requires the user's messages to be exactly these, in this order.
func (a *app) arrived(t testing.TB, user string, want []string) {
	t.Helper()
	a.awaitThat(fmt.Sprintf("%d messages of %s", len(want), user), func() bool {
		return a.counts[kind("message", user)] >= len(want)
	})
	messages := a.accepted(func(c *call) bool { return c.is("message", user) })
	if len(messages) != len(want) {
		t.Errorf("%d messages of %s, want %d", len(messages), user, len(want))
	}
	for i := range min(len(messages), len(want)) {
		if string(messages[i].event.Data) != want[i] {
			t.Fatalf("message %d of %s is %.60s", i, user, messages[i].event.Data)
		}
	}
}

func TestAFloodingClientIsPushedBackByTCPWhileTheAppHangsAndLosesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.is("message", "flood") {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--callback-queue-bytes", "256KiB", "--callback-timeout", "10m")
	stream, want := bulky(600, 16<<10)
	flooding := g.rawClient(t, "flood")
	rest := flooding.flood(stream)

	other := g.Dial(t, "other")
	other.Send(numbered(0))
	app.inOrder(t, "other", 1)
	g.send(`{"payload":1,"users":["other","flood"]}`)
	other.Receive(`1`)
	flooding.expect(fin|opText, `1`) // it is not read, but it is written to

	close(release)
	flooding.say(rest)
	app.arrived(t, "flood", want)
	flooding.say(frame(fin|opClose, ""))
	app.closedAs(t, "flood", 1005, "client")
}

func TestTheQueueOfAConnectionIsBoundedByItsNumberOfEventsToo(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "message" {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--callback-queue", "8", "--callback-timeout", "10m")
	stream, want := bulky(150, 64<<10)
	r := g.rawClient(t, "flood")
	rest := r.flood(stream)
	close(release)
	r.say(rest)
	app.arrived(t, "flood", want)
}

func TestTheCloseEventHasRoomWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply { return reply{hold: release} })
	g := startGateway(t, app, "--callback-queue", "4", "--callback-timeout", "10m")
	c := g.Dial(t, "alice")
	for n := range 20 {
		c.Send(numbered(n))
	}
	harness.Poll(t, "the reading of alice to stop", func() bool {
		return strings.Contains(g.get("/metrics").body, "\nws_gateway_paused_connections 1\n")
	})
	g.closeConns(`{"conns":["` + app.opened("alice") + `"]}`)
	c.ClosedWith(1000, "")
	close(release)
	app.closedAs(t, "alice", 1000, "app")
	messages := app.accepted(func(c *call) bool { return c.is("message", "alice") })
	if len(messages) < 3 { // those that the gateway had not read went down with the connection
		t.Errorf("%d messages, want those that were queued", len(messages))
	}
	for i, c := range messages {
		if string(c.event.Data) != numbered(i) {
			t.Errorf("message %d is %s", i, c.event.Data)
		}
	}
}

func TestWhoFillsCallbackMemoryCostsNobodyElseTheirConnectionOrMessages(t *testing.T) {
	t.Parallel()
	const busy, newcomers, limit = 100, 20, 2 << 20
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action == "message" && strings.HasPrefix(c.event.User, "busy") {
			return reply{hold: release}
		}
		return reply{}
	})
	g := startGateway(t, app, "--callback-memory", "2MiB", "--callback-concurrency", "200", "--callback-timeout", "10m")
	early := g.Dial(t, "early")
	stream, want := bulky(64, 1<<10) // more than three times the memory, of all of them
	for n := range busy {
		g.rawClient(t, fmt.Sprint("busy", n)).say(stream)
	}
	g.awaitMetric(t, "ws_gateway_callback_share_exceeded_total", busy/2) // the first have said all they have to
	for n := range newcomers {
		user := fmt.Sprint("late", n)
		c := g.Dial(t, user)
		for i := range 5 {
			c.Send(numbered(i))
		}
		app.inOrder(t, user, 5)
		c.Send(`{"event":"ping"}`)
		c.Receive(`{"event":"pong"}`)
	}
	early.Send(numbered(0))
	app.inOrder(t, "early", 1)
	if a := g.get("/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz answered %d", a.status)
	}
	g.awaitMetric(t, "ws_gateway_callback_queue_bytes", limit/4)
	if held := g.metricNow(t, "ws_gateway_callback_queue_bytes"); held > limit {
		t.Errorf("%v bytes wait, of %d", held, limit)
	}
	close(release)
	for n := range busy {
		app.arrived(t, fmt.Sprint("busy", n), want)
	}
	g.expectMetric(t, "ws_gateway_callback_lanes_over_share", 0)
}

func TestOnlyWhenNothingIsLeftOfCallbackMemoryAreUpgradesRefused(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	release := make(chan struct{})
	app.respond(func(c *call) reply { return reply{hold: release} })
	// What the loop takes at once before it stops reading must leave room for who comes.
	g := startGateway(t, app, "--callback-memory", "512KiB", "--callback-queue-bytes", "64KiB", "--callback-timeout", "10m", "--loops", "1")
	early := g.Dial(t, "early")
	stream, want := bulky(40, 10<<10)
	const busy = 40
	var all []*raw
	for n := range busy { // before the first says anything: later there may be no room for them
		all = append(all, g.rawClient(t, fmt.Sprint("busy", n)))
	}
	for _, c := range all {
		c.say(stream)
	}
	g.awaitMetric(t, "ws_gateway_callback_pressure", 1)
	// Nobody is read any more, but there is room for who comes.
	taken := 0
	for ; ; taken++ {
		c, response, err := g.TryConnect(t, visitor{User: fmt.Sprint("late", taken)})
		if err == nil {
			t.Cleanup(func() { _ = c.WS.CloseNow() })
			continue
		}
		if response == nil || response.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(err)
		}
		break
	}
	if taken < 5 || taken > 500 {
		t.Errorf("%d were taken", taken)
	}
	harness.Poll(t, "readyz to say 503", func() bool { return g.get("/readyz").status == http.StatusServiceUnavailable })
	if a := g.get("/healthz"); a.status != http.StatusOK {
		t.Errorf("healthz answered %d", a.status)
	}
	g.send(`{"payload":"still","users":["early"]}`)
	early.Receive(`"still"`)

	close(release)
	for n := range busy {
		app.arrived(t, fmt.Sprint("busy", n), want)
	}
	harness.Poll(t, "readyz to say 200", func() bool { return g.get("/readyz").status == http.StatusOK })
	g.Dial(t, "last")
	app.opened("last")
}

// payloadOf is a send to users of a string of size bytes.
func payloadOf(size int, users string) string {
	return `{"payload":"` + strings.Repeat("x", size) + `","users":` + users + `,"report":true}`
}

// report is the data of a send's answer with "report": true.
type report struct{ Matched, Queued, Slow int }

func (a answer) report(t testing.TB) (r report) {
	t.Helper()
	if err := json.Unmarshal(a.parse(t).Data, &r); err != nil {
		t.Fatalf("the report: %v: %s", err, a.body)
	}
	return r
}

func TestAClientThatNeverReadsIsClosedAsASlowConsumerAndNobodyElseNotices(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	stuck := g.Connect(t, visitor{User: "stuck", ReceiveSpace: 4096})
	reader := g.Dial(t, "reader")
	app.opened("stuck")
	app.opened("reader")

	const size = 256 << 10
	message := `"` + strings.Repeat("x", size) + `"`
	sends, slow := 0, 0
	for ; slow == 0 && sends < 100; sends++ {
		r := g.post(sendPath, payloadOf(size, `["stuck","reader"]`)).report(t)
		if r.Matched != 2 || r.Queued+r.Slow != 2 {
			t.Fatalf("the report of send %d is %+v", sends, r)
		}
		slow = r.Slow
		reader.Receive(message)
	}
	if slow != 1 {
		t.Fatalf("%d MiB were sent and the stuck client was not noticed", sends*size>>20)
	}
	closed := app.closedAs(t, "stuck", 1008, "gateway")
	if closed.event.Reason != "slow consumer" {
		t.Errorf("reason %q", closed.event.Reason)
	}
	if r := g.post(sendPath, payloadOf(10, `["stuck","reader"]`)).report(t); r != (report{1, 1, 0}) {
		t.Errorf("afterwards the report is %+v", r)
	}
	reader.Receive(`"xxxxxxxxxx"`)
	_ = stuck.WS.CloseNow()
}

func TestAClientThatTakesNothingForTheWriteTimeoutIsClosedAsASlowConsumer(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--write-timeout", "1s", "--max-pending-bytes", "64MiB")
	g.Connect(t, visitor{User: "stuck", ReceiveSpace: 4096})
	reader := g.Dial(t, "reader")
	app.opened("stuck")
	for range 20 {
		if r := g.post(sendPath, payloadOf(1<<20, `["stuck"]`)).report(t); r.Slow != 0 {
			t.Fatalf("the report is %+v although nothing is over its bound", r)
		}
	}
	if closed := app.closedAs(t, "stuck", 1008, "gateway"); closed.event.Reason != "slow consumer" {
		t.Errorf("reason %q", closed.event.Reason)
	}
	reader.Send(`{"event":"ping"}`)
	reader.Receive(`{"event":"pong"}`)
}

func TestAClientThatReadsSlowlyButSteadilyIsNoSlowConsumer(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	g := startPushOnly(t, "--write-timeout", timeout.String(), "--max-pending-bytes", "64MiB")
	c := g.Connect(t, visitor{User: "slow", ReceiveSpace: 4096})
	// So small a window lets some ten kilobytes pass in a second, and the kernel
	// says that there is room only after megabytes.
	if err := c.TCP.SetReadDeadline(time.Now().Add(timeout * 3)); err != nil {
		t.Fatal(err)
	}
	reading := make(chan error, 1)
	var read int64
	go func() {
		var err error
		read, err = io.Copy(io.Discard, c.TCP)
		reading <- err
	}()
	for range 8 {
		g.send(`{"payload":"` + strings.Repeat("x", 1<<20) + `","users":["slow"]}`)
	}
	if err := <-reading; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection ended after %d bytes: %v", read, err)
	}
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections are counted, want 1", n)
	}
}

func TestAClientThatReadsLateGetsEverything(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-pending-bytes", "64MiB", "--write-timeout", "10m")
	c := g.Dial(t, "slow")
	for n := range 20 {
		g.send(fmt.Sprintf(`{"payload":{"n":%d,"fill":"%s"},"users":["slow"]}`, n, strings.Repeat("x", 1<<20)))
	}
	for n := range 20 {
		c.Receive(fmt.Sprintf(`{"n":%d,"fill":"%s"}`, n, strings.Repeat("x", 1<<20)))
	}
}

func TestAClientThatNeverReadsItsPongsIsClosedAsASlowConsumer(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--max-pending-bytes", "64KiB", "--socket-buffer", "64KiB") // the kernel's share is soon full
	r := g.rawClient(t, "greedy")
	if err := r.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	ping := strings.Repeat(frame(fin|opPing, strings.Repeat("x", 125)), 1000)
	deadline := time.Now().Add(harness.Patience)
	for time.Now().Before(deadline) {
		if err := r.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(r, ping); err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			break
		}
	}
	app.closedAs(t, "greedy", 1008, "gateway")
}
