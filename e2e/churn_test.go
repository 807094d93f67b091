package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

var (
	churnSeed = flag.Uint64("churn.seed", 0, "seed of the churn test; 0 takes a new one")
	churnSize = flag.Int("churn.size", 3000, "connections of the churn test")
)

// ending is a way for a connection to end.
type ending int

const (
	byCloseFrame ending = iota
	byFIN
	byRST
	byCloseAPI
	byProtocolError
	byPingTimeout
	endings
)

// plan is what one of the churn's connections is going to do.
type plan struct {
	number   int
	messages int
	end      ending
	open     chan string // its connection id, once the app was told

	// overtaken says that the client took so long, on a busy machine, that the
	// ping timeout may have been quicker than the end that was planned.
	overtaken bool
}

// churnTimeout is the ping timeout of the churn.
const churnTimeout = 5 * time.Second

func (p *plan) user() string   { return fmt.Sprint("user", p.number%500) } // several share one
func (p *plan) cookie() string { return fmt.Sprint("plan=", p.number) }
func (p *plan) message(n int) string {
	return fmt.Sprintf(`{"plan":%d,"n":%d}`, p.number, n)
}

// closeEvent is what the app must be told of the end.
func (p *plan) closeEvent() (code int, reason, initiator string) {
	switch p.end {
	case byCloseFrame:
		return 3000 + p.number%1000, fmt.Sprint("reason ", p.number), "client"
	case byCloseAPI:
		return 4000 + p.number%1000, fmt.Sprint("reason ", p.number), "app"
	case byProtocolError:
		return 1002, "", "gateway"
	case byPingTimeout:
		return 1008, "ping timeout", "gateway"
	default:
		return 1006, "", "network"
	}
}

// carryOut is the client's part.
func (p *plan) carryOut(t testing.TB, g *gateway) error {
	start := time.Now()
	err := p.connectAndEnd(t, g, start)
	if p.end != byPingTimeout && time.Since(start) >= churnTimeout {
		p.overtaken = true
		return nil
	}
	return err
}

func (p *plan) connectAndEnd(t testing.TB, g *gateway, start time.Time) error {
	c, _, err := g.TryConnect(t, visitor{User: p.user(), Cookie: p.cookie(), Target: fmt.Sprint("/ws?plan=", p.number)})
	if err != nil {
		return err
	}
	defer func() { _ = c.WS.CloseNow() }()
	for n := range p.messages {
		if err := c.Write(websocket.MessageText, p.message(n)); err != nil {
			return err
		}
	}
	p.overtaken = time.Since(start) >= churnTimeout
	code, reason, _ := p.closeEvent()
	switch p.end {
	case byCloseFrame:
		return c.WS.Close(websocket.StatusCode(code), reason)
	case byFIN:
		return c.TCP.Close()
	case byRST:
		c.Reset()
		return nil
	case byCloseAPI:
		body := fmt.Sprintf(`{"conns":["%s"],"code":%d,"reason":"%s"}`, <-p.open, code, reason)
		if a, err := g.tryRequest("http://"+g.Addr, "POST", closePath, body); err != nil || a.body != success {
			return fmt.Errorf("close answered %v: %w", a, err)
		}
	case byProtocolError:
		if _, err := c.TCP.Write([]byte("\x81\x02no")); err != nil { // not masked
			return err
		}
	}
	closed, err := c.Ended()
	if err == nil && closed.Code != websocket.StatusCode(code) {
		err = fmt.Errorf("closed with %v, want %d", closed, code)
	}
	return err
}

// check compares what the app was told of the connection with the plan.
func (p *plan) check(l *life) error {
	if wrong := l.incomplete(); wrong != "" {
		return fmt.Errorf("%s", wrong)
	}
	var messages []string
	for i, c := range l.calls {
		if c.event.User != p.user() || c.header.Get("Cookie") != p.cookie() {
			return fmt.Errorf("%s carries user %q and cookie %q", c.event.Action, c.event.User, c.header.Get("Cookie"))
		}
		if c.event.Action == "message" && (i == 0 || l.calls[i-1].requestID != c.requestID) {
			messages = append(messages, string(c.event.Data))
		}
	}
	code, reason, initiator := p.closeEvent()
	last := l.calls[len(l.calls)-1].event
	if p.overtaken && last.Reason == "ping timeout" {
		code, reason, initiator = 1008, "ping timeout", "gateway"
	}
	// A reset, or the API, may be quicker than what was sent before.
	mayLack := p.end == byRST || p.end == byCloseAPI || p.overtaken
	if len(messages) > p.messages || len(messages) < p.messages && !mayLack {
		return fmt.Errorf("%d messages, want %d", len(messages), p.messages)
	}
	for n, message := range messages {
		if message != p.message(n) {
			return fmt.Errorf("message %d is %s", n, message)
		}
	}
	if last.Code != code || last.Initiator != initiator || reason != "" && last.Reason != reason {
		return fmt.Errorf("closed with %d %q by %q, want %d %q by %q", last.Code, last.Reason, last.Initiator, code, reason, initiator)
	}
	return nil
}

func newPlans(t testing.TB, n int) []*plan {
	seed := *churnSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to repeat: -churn.seed=%d -churn.size=%d", seed, n)
	random := rand.New(rand.NewPCG(seed, 0))
	plans := make([]*plan, n)
	for i := range plans {
		plans[i] = &plan{number: i, messages: random.IntN(4), end: ending(random.IntN(int(endings))), open: make(chan string, 1)}
	}
	return plans
}

// planOf finds the plan in the URI of the open event.
func planOf(plans []*plan, c *call) *plan {
	if c.event.Request == nil {
		return nil
	}
	uri, err := url.Parse(c.event.Request.URI)
	if err != nil {
		return nil
	}
	number, err := strconv.Atoi(uri.Query().Get("plan"))
	if err != nil || number < 0 || number >= len(plans) {
		return nil
	}
	return plans[number]
}

func TestConnectionsThatEndInSixWaysGiveOneOpenAndOneCloseEach(t *testing.T) {
	// Few at a time, so that each has its turn long before the ping timeout, on a busy
	// machine too. Many are open all the same: those that wait for their ping timeout.
	const atATime = 50
	connections := *churnSize
	plans := newPlans(t, connections)
	app := startApp(t)
	app.respond(func(c *call) reply {
		if p := planOf(plans, c); p != nil && c.event.Action == "open" {
			select {
			case p.open <- c.event.Conn:
			default: // tried again
			}
		}
		return reply{}
	})
	g := startGateway(t, app, "--ping-timeout", churnTimeout.String())
	before := g.Descriptors()

	var running sync.WaitGroup
	slots := make(chan struct{}, atATime)
	for _, p := range plans {
		slots <- struct{}{}
		leave := sync.OnceFunc(func() { <-slots })
		running.Go(func() {
			defer leave()
			if p.end == byPingTimeout {
				leave() // who only waits is in nobody's way
			}
			if err := p.carryOut(t, g); err != nil {
				t.Errorf("plan %d, end %d: %v", p.number, p.end, err)
			}
		})
	}
	running.Wait()
	overtaken := 0
	for _, p := range plans {
		if p.overtaken {
			overtaken++
		}
	}
	if overtaken > connections/10 {
		t.Errorf("%d connections took longer than %v: too busy a machine for this test", overtaken, churnTimeout)
	}
	app.awaitThat("a close event of everybody", func() bool { return app.ended >= connections })

	app.Mu.Lock()
	seen := make(map[*plan]string)
	for conn, l := range app.lives {
		p := planOf(plans, l.calls[0])
		if p == nil || seen[p] != "" {
			t.Errorf("connection %s is nobody's: %s", conn, l.calls[0].body)
			continue
		}
		seen[p] = conn
		if err := p.check(l); err != nil {
			t.Errorf("plan %d, connection %s, end %d: %v", p.number, conn, p.end, err)
		}
	}
	app.Mu.Unlock()
	if len(seen) != connections {
		t.Errorf("the app knows %d connections, want %d", len(seen), connections)
	}
	if a := g.get(listPath); a.body != `{"code":0,"message":"success","data":[]}` {
		t.Errorf("afterwards the list is %.300s", a.body)
	}
	g.HTTP.CloseIdleConnections()
	app.dropIdle()
	harness.Poll(t, "descriptors to be given back", func() bool { return g.Descriptors() <= before+5 })
}
