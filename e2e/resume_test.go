package e2e_test

import (
	"testing"
)

func TestASessionSurvivesALostConnectionAndTheAppNoticesNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--resume-for", "1m")
	c := g.roam(t, "ann")
	conn := app.opened("ann")
	if c.ID != conn || c.For != 60 || c.Received != 0 {
		t.Fatalf("greeting %+v, the app knows %s", c.greeting, conn)
	}
	g.send(`{"conn_id":"` + conn + `","payload":"1"}`)
	c.expectGot(`text "1"`)
	c.send(numbered(0))
	c.settled()
	c.cut()
	g.awaitMetric(t, "ws_gateway_connections_away", 1)
	g.send(`{"conn_id":"` + conn + `","payload":"2"}`)
	g.send(`{"users":["ann"],"payload":"3"}`)
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	c.resume()
	if c.Received != 1 {
		t.Errorf("the gateway has %d messages", c.Received)
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
