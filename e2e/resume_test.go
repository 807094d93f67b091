package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

func TestASessionSurvivesALostConnectionAndTheAppNoticesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	if c.ID != conn || c.For != 60 || c.Received != 0 || c.Protocol != "" {
		t.Fatalf("greeting %+v, the app knows %s", c.greeting, conn)
	}
	g.send(`{"conn_id":"` + conn + `","payload":"1"}`)
	c.expectGot(`text "1"`)
	c.send(numbered(0))
	c.settled()
	c.cut()
	g.awaitAway(t, 1)
	if got := g.post(sendPath, `{"conn_id":"`+conn+`","payload":"2","report":true}`).data(t); got != `{"matched":1,"queued":1,"slow":0,"away":1}` {
		t.Errorf("the report is %s", got)
	}
	g.send(`{"users":["ann"],"payload":"3"}`)
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	for _, target := range []string{listPath + "?user=ann", getPath + "?conn_id=" + conn} {
		if got := g.get(target).data(t); !strings.Contains(got, `"away":true`) {
			t.Errorf("%s: %s", target, got)
		}
	}
	c.resume()
	if c.Received != 1 {
		t.Errorf("the gateway has %d messages", c.Received)
	}
	if got := g.get(getPath + "?conn_id=" + conn).data(t); strings.Contains(got, "away") {
		t.Errorf("back again: %s", got)
	}
	g.send(`{"conn_id":"` + conn + `","payload":"4"}`)
	c.expectGot(`text "1"`, `text "2"`, `text "3"`, `text "4"`)
	c.send(numbered(1))
	c.settled()
	c.say(frame(fin|opClose, closePayload(4000, "enough")))
	closed := app.closed("ann")
	if closed.event.Conn != conn || closed.event.Code != 4000 || closed.event.Initiator != "client" {
		t.Errorf("the close event is %+v", closed.event)
	}
	app.inOrder(t, "ann", 2)
	app.whole(t, conn)
}

func TestASessionWithoutAMessageSurvivesToo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	for range 3 {
		c.cut()
		g.awaitAway(t, 1)
		c.resume()
	}
	g.send(`{"users":["ann"],"payload":1}`)
	c.expectGot("text 1")
}

func TestAClientThatHasNotAskedSeesNothingOfIt(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.Connect(t, visitor{User: "ann", Subprotocols: []string{"chat.v2"}})
	if p := c.WS.Subprotocol(); p != "chat.v2" {
		t.Errorf("subprotocol %q", p)
	}
	g.send(`{"users":["ann"],"payload":"\u001ex","encoding":"text"}`)
	c.Receive(recordMark + "x")
	c.Send(recordMark + "y")
	if got := string(app.message("ann", 1).event.Data); got != `"\u001ey"` {
		t.Errorf("the app got %s", got)
	}
	c.HangUp()
	if closed := app.closed("ann"); closed.event.Code != 1006 {
		t.Errorf("closed with %d", closed.event.Code)
	}
}

func TestWithoutTheOptionTheAppsSubprotocolIsSelected(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for offers, want := range map[string]string{
		"chat.v2, " + resumeProtocol:                                 "chat.v2",
		resumeProtocol + ", " + resumeProtocol + ".token.5, chat.v1": "chat.v1",
		resumeProtocol: "",
	} {
		r := g.raw(t)
		r.say(g.handshake("Sec-WebSocket-Protocol: "+offers, "X-Bfl-User: ann") + "\r\n")
		if response, _ := r.response(); response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Protocol") != want {
			t.Errorf("%s: %d, %q", offers, response.StatusCode, response.Header.Get("Sec-WebSocket-Protocol"))
		}
		r.Close()
	}
}

func TestTheAppsSubprotocolIsInTheGreeting(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m", "--subprotocols", "chat.v1", "--subprotocols", "chat.v2")
	for offer, want := range map[string]string{"chat.v2": "chat.v2", "other, chat.v1": "chat.v1", "other": ""} {
		c := &roamer{t: t, g: g, offers: strings.Split(offer, ", ")}
		c.connect()
		if c.Protocol != want {
			t.Errorf("%s: %q", offer, c.Protocol)
		}
		c.cut()
		c.resume()
	}
}

// After its 101 is lost a client has only the token that it had before.
func TestThe101MayBeLostThreeTimes(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	g.send(`{"users":["ann"],"payload":1}`)
	c.expectGot("text 1")
	c.cut()
	was := c.greeting
	for range 3 {
		c.connect() // as far as the gateway knows
		c.cut()
		c.greeting = was
	}
	g.send(`{"users":["ann"],"payload":2}`)
	c.resume()
	c.expectGot("text 1", "text 2")
	c.settled() // now the gateway knows that the new token has arrived
	c.cut()
	now, got := c.greeting, c.got
	c.greeting = was
	c.begin()
	c.cut()
	c.greeting, c.got = now, got
	c.resume()
}

// A network holds a handshake up until its client has come back on another connection, and
// then once more.
func TestAHandshakeThatWasHeldUpDoesNotEndTheSession(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	g.send(`{"conn_id":"` + c.ID + `","payload":1}`)
	c.expectGot("text 1")
	late := &roamer{t: t, g: g, lines: c.lines, greeting: c.greeting, got: slices.Clone(c.got)}
	c.resume()
	g.send(`{"conn_id":"` + c.ID + `","payload":2}`)
	c.expectGot("text 1", "text 2")
	c.resume() // it has the second message, and has not said a word on any of its connections
	late.begin()
	c.send(numbered(0))
	c.settled()
	g.send(`{"conn_id":"` + c.ID + `","payload":3}`)
	c.expectGot("text 1", "text 2", "text 3")
	c.resume()
	g.expectMetric(t, `ws_gateway_resume_missed_total{reason="gap"}`, 0)
}

func TestANewTransportReplacesOneThatSeemsToBeAlive(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--ping-timeout", "5s", "--resume-event")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	old := c.raw // half open: it says nothing any more, not even FIN
	c.resume()
	old.expectEnd()
	g.send(`{"conn_id":"` + conn + `","payload":1}`)
	c.expectGot("text 1")
	resumed := app.awaitAccepted("resumed", func(c *call) bool { return c.event.Action == "resumed" })
	var body struct {
		Away *int `json:"away_ms"`
	}
	if err := json.Unmarshal(resumed.body, &body); err != nil || body.Away == nil || *body.Away != 0 {
		t.Errorf("the event is %s", resumed.body)
	}
	// The old transport's ping timeout comes no later than that of a newcomer.
	newcomer := g.Dial(t, "bob")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		newcomer.Ended()
	}()
	for waiting := true; waiting; {
		c.settled() // keeps the session alive
		select {
		case <-gone:
			waiting = false
		default:
		}
	}
	g.expectMetric(t, `ws_gateway_connections_went_away_total`, 0)
}

func TestAPingTimeoutMakesAResumableConnectionGoAway(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--ping-timeout", "1s", "--resume-event")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	if _, err := c.ended(); err != nil {
		t.Error(err)
	}
	g.awaitAway(t, 1)
	g.send(`{"conn_id":"` + conn + `","payload":1}`)
	c.resume()
	c.expectGot("text 1")
	app.awaitAccepted("resumed", func(c *call) bool { return c.event.Action == "resumed" })
	if n := len(app.attempts(func(c *call) bool { return c.event.Action == "close" })); n > 0 {
		t.Error("there was a close event")
	}
}

func TestASessionIsKeptForResumeForAndNoLonger(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1s")
	early, late := g.roam(t, "early"), g.roam(t, "late")
	early.cut()
	lost := time.Now()
	late.cut()
	early.resume()
	closed := app.closed("late")
	if closed.event.Code != 1006 || closed.event.Initiator != "network" {
		t.Errorf("the close event is %+v", closed.event)
	}
	if kept := closed.arrived.Sub(lost); kept < time.Second {
		t.Errorf("it ended after %v", kept)
	}
	late.begin()
	g.expectMetric(t, "ws_gateway_resume_expired_total", 1)
}

func TestATokenThatIsNotValidGivesANewSession(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g, other := startGateway(t, app, "--resume-for", "1m"), startPushOnly(t, "--resume-for", "1m")
	victim := g.roam(t, "ann")
	conn := app.opened("ann")
	foreign := other.roam(t, "ann")
	try := func(name, user, token string) {
		c := &roamer{t: t, g: g, lines: []string{"X-Bfl-User: " + user}, greeting: greeting{ID: "x", Token: token}}
		c.connect()
		if c.Resumed || c.ID == conn {
			t.Errorf("%s: %+v", name, c.greeting)
		}
		c.cut()
	}
	for _, i := range []int{0, 23, 24, 30, len(victim.Token) - 1} {
		try(fmt.Sprint("altered at ", i), "ann", altered(victim.Token, i))
	}
	try("another user's", "bob", victim.Token)
	try("nobody's", "", victim.Token)
	try("another gateway's", "ann", foreign.Token)
	try("short", "ann", victim.Token[:20])
	try("long", "ann", victim.Token+"A")
	try("nonsense", "ann", "~")
	g.send(`{"conn_id":"` + conn + `","payload":1}`)
	victim.expectGot("text 1")
	used := victim.Token
	victim.resume()
	victim.settled()
	try("used twice", "ann", used)
	victim.settled()
	g.expectMetric(t, `ws_gateway_resume_missed_total{reason="token"}`, 11)
	g.expectMetric(t, `ws_gateway_resume_missed_total{reason="gone"}`, 1)
}

func TestATokenOfBeforeARestartGivesANewSession(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	g.Signal(syscall.SIGTERM)
	c.ended()
	g.Wait(harness.Patience)
	c.g = startPushOnly(t, "--resume-for", "1m")
	c.begin()
}

func TestAClientThatHasMoreThanWasSentGetsANewSession(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	c.cut()
	c.got = append(c.got, "text that was never sent")
	c.begin()
	if closed := app.closed("ann"); closed.event.Conn != conn || closed.event.Code != 1006 {
		t.Errorf("the close event is %+v", closed.event)
	}
}

func TestAClientThatHasLessThanItHasAcknowledgedGetsANewSession(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	g.send(`{"users":["ann"],"payload":1}`)
	c.expectGot("text 1")
	c.settled()
	c.cut()
	c.got = nil // as after a page has been loaded again with an old token
	c.begin()
	g.expectMetric(t, `ws_gateway_resume_missed_total{reason="gap"}`, 1)
}

func TestAClientThatIsClosedWhileAwayLearnsTheCode(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	g.closeConns(`{"users":["ann"],"code":4001,"reason":"signed out"}`)
	if n := g.connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
	if closed := app.closed("ann"); closed.event.Code != 4001 || closed.event.Initiator != "app" {
		t.Errorf("the close event is %+v", closed.event)
	}
	stranger := &roamer{t: t, g: g, lines: []string{"X-Bfl-User: bob"}, greeting: c.greeting}
	stranger.begin()
	if err := c.tryConnect(); err != io.EOF || c.farewell != closePayload(4001, "signed out") {
		t.Errorf("%v, close frame %q", err, c.farewell)
	}
	c.say(frame(fin|opClose, closePayload(4001, "")))
	c.expectEnd()
}

// The gateway cannot know yet that the transport is dead.
func TestAClientThatNeverReadTheCloseFrameLearnsTheCodeWhenItComesBack(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	app.opened("ann")
	g.closeConns(`{"users":["ann"],"code":4001,"reason":"signed out"}`)
	for range 2 { // the farewell may be lost as well
		if err := c.tryConnect(); err != io.EOF || c.farewell != closePayload(4001, "signed out") {
			t.Fatalf("%v, close frame %q", err, c.farewell)
		}
		c.farewell = ""
		c.cut()
	}
}

func TestAClientThatIsClosedWhileAwayGetsWhatItHasMissedThenTheCode(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--callback-reply")
	c := g.roam(t, "ann")
	answer := make(chan struct{})
	app.respond(func(c *call) reply {
		if c.event.Action != "message" {
			return reply{}
		}
		return reply{hold: answer, body: "last words", header: map[string]string{"Content-Type": "text/plain", "X-Ws-Close": "4001 signed out"}}
	})
	c.send("hello")
	c.settled()
	c.cut()
	g.awaitAway(t, 1)
	g.send(`{"users":["ann"],"payload":1}`)
	close(answer)
	app.closed("ann")
	c.resume()
	c.expectGot("text 1", "text last words")
	if c.Received != 1 {
		t.Errorf("the gateway has %d messages", c.Received)
	}
	if code, err := c.ended(); err != nil || code != closePayload(4001, "signed out") {
		t.Errorf("%v, close frame %q", err, code)
	}
}

func TestAClientThatHasAnsweredTheCloseFrameGetsANewSession(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	g.closeConns(`{"users":["ann"],"code":4001,"reason":"signed out"}`)
	if _, err := c.step(); err != io.EOF || c.farewell != closePayload(4001, "signed out") {
		t.Fatalf("%v, close frame %q", err, c.farewell)
	}
	c.say(frame(fin|opClose, closePayload(4001, "")))
	c.expectEnd()
	c.begin()
}

func TestRecordSeparatorsTravelBothWays(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	said := []string{recordMark, recordMark + recordMark, recordMark + "5", "x" + recordMark, ""}
	for _, text := range said {
		c.send(text)
	}
	for _, binary := range []string{"\x1e\x00", ""} {
		if err := c.trySay(opBinary, binary); err != nil {
			t.Fatal(err)
		}
	}
	c.cut()
	c.resume()
	c.settled()
	for i, want := range []string{
		`text "\u001e"`, `text "\u001e\u001e"`, `text "\u001e5"`, `text "x\u001e"`, `text ""`, `base64 "HgA="`, `base64 ""`,
	} {
		if e := app.message("ann", i+1).event; e.Encoding+" "+string(e.Data) != want {
			t.Errorf("message %d is %s %s, want %s", i, e.Encoding, e.Data, want)
		}
	}
	want := []string{}
	for i, text := range said {
		payload, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			c.cut()
			g.awaitAway(t, 1)
		}
		g.send(`{"users":["ann"],"encoding":"text","payload":` + string(payload) + `}`)
		want = append(want, "text "+text)
	}
	g.send(`{"users":["ann"],"encoding":"base64","payload":"HgA="}`)
	g.send(`{"users":["ann"],"encoding":"base64","payload":""}`)
	c.resume()
	c.expectGot(append(want, "binary \x1e\x00", "binary ")...)
	c.settled()
}

func TestAFragmentedMessageThatIsCutIsSentAgain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	c.send(numbered(0))
	c.say(frame(opText, `{"n"`))
	c.cut()
	c.said = append(c.said, frame(opText, `{"n":`)+frame(fin|opPing, "")+frame(fin|opContinuation, `1}`))
	c.resume()
	c.settled()
	app.inOrder(t, "ann", 2)
}

// The client sends no more of them than the app sends messages.
func TestAcknowledgementsOfSomethingNewDoNotCountForTheRate(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--message-rate", "1", "--message-burst", "4", "--rate-policy", "close")
	c := g.roam(t, "ann")
	app.opened("ann")
	for i := range 50 {
		g.send(`{"users":["ann"],"payload":1}`)
		c.await(i + 1)
		c.settled()
	}
	for range 20 { // these tell nothing new
		if c.acknowledge() != nil {
			break // it is closed already
		}
	}
	if closed := app.closed("ann"); closed.event.Code != 1008 {
		t.Errorf("the close event is %+v", closed.event)
	}
	c.cut()
}

func TestMoreAcknowledgedThanSentIsAViolation(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	for said, reason := range map[string]string{
		recordMark + "1":     "more messages acknowledged than were sent",
		recordMark:           "a message that begins with U+001E is neither an acknowledgement nor escaped",
		recordMark + "-1":    "a message that begins with U+001E is neither an acknowledgement nor escaped",
		recordMark + `{"x"}`: "a message that begins with U+001E is neither an acknowledgement nor escaped",
	} {
		c := g.roam(t, "ann")
		c.say(frame(fin|opText, said))
		if got, err := c.ended(); err != nil || got != closePayload(1002, reason) {
			t.Errorf("%q: %q, %v", said, got, err)
		}
		c.begin()
	}
}

func TestPingsAndPongsCountAsMessagesDo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--resume-for", "1m")
	c := g.roam(t, "ann")
	c.send(`{"event":"ping"}`)
	c.expectGot(`text {"event":"pong"}`)
	c.settled()
	c.send(`{"event":"ping"}`)
	c.cut() // the pong is lost, or the ping is
	c.resume()
	c.expectGot(`text {"event":"pong"}`, `text {"event":"pong"}`)
	c.settled()
}

func TestCompressionMayDifferAfterAResume(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--compression", "--compression-threshold", "1")
	const deflate = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	text := strings.Repeat("again and ", 100)
	for _, before := range []bool{true, false} {
		user := fmt.Sprint("compressed ", before)
		c := g.roam(t, user)
		plain := c.lines
		compressed := append(plain[:1:1], deflate)
		if before {
			c.cut()
			c.lines = compressed
			c.resume()
		}
		c.cut()
		g.send(`{"users":["` + user + `"],"encoding":"text","payload":"` + text + `"}`)
		if before {
			c.lines = plain
			c.resume()
			c.expectGot("text " + text)
			continue
		}
		c.lines = compressed
		c.connect()
		g.send(`{"users":["` + user + `"],"encoding":"text","payload":"` + text + `"}`)
		first, kept, err := c.next()
		if err != nil || first&^rsv1 != fin|opText || first&rsv1 == 0 && kept != text {
			t.Fatalf("frame %#x %.20q, %v", first, kept, err)
		}
		if first, live, err := c.next(); err != nil || first != fin|rsv1|opText || len(live) > len(text)/2 {
			t.Errorf("frame %#x of %d bytes, %v", first, len(live), err)
		}
	}
}

func TestAResumePassesLimitsAndIsNotAuthorisedAgain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--callback-open", "authorize", "--max-connections-per-user", "1", "--max-connections", "1", "--max-connections-per-ip", "1")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	c.resume()
	g.refuses(t, visitor{User: "bob"}, 503)
	c.resume()
	g.send(`{"users":["ann"],"payload":1}`)
	c.expectGot("text 1")
	if n := len(app.attempts(func(c *call) bool { return c.event.Action == "open" })); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
	g.closeConns(`{"conns":["` + conn + `"]}`)
	app.whole(t, conn)
}

func TestOriginAndUserAreCheckedAndCookieAndAddressAreNew(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m", "--allowed-origins", "https://app.example.org", "--trusted-proxies", "127.0.0.1", "--resume-event")
	c := g.roam(t, "ann")
	app.opened("ann")
	user := c.lines[0]
	c.cut()
	c.lines = []string{user, "Origin: https://evil.example.org"}
	if err := c.tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 403") {
		t.Errorf("another origin: %v", err)
	}
	c.lines = []string{user, user}
	if err := c.tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 400") {
		t.Errorf("two users: %v", err)
	}
	c.lines = []string{user, "Origin: https://app.example.org", "Cookie: sid=" + secret + "2", "X-Forwarded-For: 192.0.2.77"}
	c.resume()
	c.send(numbered(0))
	if got := app.message("ann", 1).header.Get("Cookie"); got != "sid="+secret+"2" {
		t.Errorf("cookie %q", got)
	}
	if got := g.get(listPath).data(t); !strings.Contains(got, `"remoteAddr":"192.0.2.77"`) {
		t.Errorf("list: %s", got)
	}
}

func TestDrainEndsThoseWhoAreAway(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--drain-delay", "100ms")
	c := g.roam(t, "ann")
	app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	g.Signal(syscall.SIGTERM)
	if closed := app.closed("ann"); closed.event.Code != 1001 || closed.event.Initiator != "gateway" {
		t.Errorf("the close event is %+v", closed.event)
	}
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestNoSessionIsResumedDuringADrain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--drain-delay", "1m")
	c := g.roam(t, "ann")
	app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	g.Signal(syscall.SIGTERM)
	g.refusesSoon(t, c, "status 503: shutting down")
}

func TestNoSessionIsResumedDuringOverload(t *testing.T) {
	t.Parallel()
	app := newApp(t) // down: what is sent to it waits
	g := startGateway(t, app, "--resume-for", "10m", "--callback-memory", "64KiB", "--callback-queue-bytes", "60KiB")
	c := g.roam(t, "ann")
	c.cut()
	g.awaitAway(t, 1)
	for i := range 10_000 { // their open events fill the memory
		other, response, err := g.TryConnect(t, visitor{User: fmt.Sprint("filler", i)})
		if response != nil && response.StatusCode == 503 {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.HangUp)
	}
	g.refusesSoon(t, c, "status 503: overloaded")
}

func TestMoreThanTheBufferEndsASessionThatIsAway(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--resume-buffer", "4KiB")
	c := g.roam(t, "ann")
	app.opened("ann")
	c.cut()
	g.awaitAway(t, 1)
	text := `{"users":["ann"],"report":true,"payload":"` + strings.Repeat("x", 1500) + `"}`
	for i, want := range []string{`"queued":1,"slow":0,"away":1`, `"queued":1,"slow":0,"away":1`, `{"matched":1,"queued":0,"slow":0}`} {
		if got := g.post(sendPath, text).data(t); !strings.Contains(got, want) {
			t.Errorf("message %d: %s", i, got)
		}
	}
	if closed := app.closed("ann"); closed.event.Code != 1006 {
		t.Errorf("the close event is %+v", closed.event)
	}
	c.begin()
}

func TestMoreThanTheBufferEndsThePromiseUntilAllHasArrived(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--resume-buffer", "4KiB")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	big := `{"users":["ann"],"payload":"` + strings.Repeat("x", 5000) + `"}`
	g.send(big)
	c.await(1)
	c.settled()
	c.cut()
	c.resume() // all had arrived
	g.send(big)
	g.send(`{"users":["ann"],"payload":1}`)
	c.await(3)
	c.cut() // what the gateway has does not reach back to what this client has, as far as it knows
	if closed := app.closed("ann"); closed.event.Conn != conn || closed.event.Code != 1006 {
		t.Errorf("the close event is %+v", closed.event)
	}
	c.begin()
	g.expectMetric(t, "ws_gateway_resume_overruns_total", 2)
}

func TestASlowReaderThatComesBackGetsEverything(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "10m", "--resume-buffer", "8MiB", "--max-pending-bytes", "4MiB", "--socket-buffer", "16KiB")
	c := g.roam(t, "ann")
	app.opened("ann")
	want := []string{}
	for i := range 20 {
		text := strings.Repeat(string(rune('a'+i)), 100_000)
		g.send(`{"users":["ann"],"encoding":"text","payload":"` + text + `"}`)
		want = append(want, "text "+text)
	}
	c.await(3) // the rest waits in the outbox, one of them in part
	c.cut()
	c.resume()
	c.await(5)
	c.resume()
	c.expectGot(want...)
	c.settled()
}
