package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// natsProgram is the server as the program that it is shipped as, so that it can be stopped
// by a signal, and another one has it read its configuration again.
type natsProgram struct {
	url    string
	cmd    *exec.Cmd
	config string // path
}

func startNATSProgram(t *testing.T, config string) *natsProgram {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "nats-server")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v\n%s", err, out)
	}
	reserved := reservePort(t)
	p := &natsProgram{url: fmt.Sprintf("nats://127.0.0.1:%d", reserved.number), config: filepath.Join(t.TempDir(), "nats.conf")}
	p.write(t, config)
	p.cmd = exec.Command(binary, "-c", p.config)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *natsProgram) write(t *testing.T, config string) {
	t.Helper()
	if err := os.WriteFile(p.config, []byte("listen: "+strings.TrimPrefix(p.url, "nats://")+"\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the server take another configuration while it runs.
func (p *natsProgram) reload(t *testing.T, config string) {
	t.Helper()
	p.write(t, config)
	p.signal(t, syscall.SIGHUP)
}

func (p *natsProgram) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	harness.Signal(t, p.cmd.Process, s)
}

// The process is stopped, so its connections stay and take what their buffers hold.
func TestANATSProgramThatIsStoppedAndContinuesLosesNothingWithinTheHold(t *testing.T) {
	t.Parallel()
	nats := startNATSProgram(t, "")
	c := &together{gateways: []*gateway{startMember(t, nats.url, 0), startMember(t, nats.url, 1)}}
	c.whole(t)
	alice := c.gateways[1].Dial(t, "alice")
	c.gateways[0].sends("alice", 0, 1)
	alice.Receive(message(0))
	nats.signal(t, syscall.SIGSTOP)
	c.gateways[0].sends("alice", 1, 20) // while the status still says connected
	c.gateways[0].awaitOthers(t, 1, 1)
	c.gateways[0].sends("alice", 20, 40)
	nats.signal(t, syscall.SIGCONT)
	c.whole(t)
	c.gateways[0].sends("alice", 40, 60)
	receives(t, alice, 1, 60)
}

// NATS is away for a minute, which is longer than --cluster-hold and longer than it takes to
// be dead. Nobody is declared dead, as nobody but NATS is known to be gone; what was sent
// long before it is back is given up and counted, what was sent last is delivered.
func TestWhileNATSIsAwayForAMinuteNobodyIsTakenOverAndWhatIsSentLastIsDelivered(t *testing.T) {
	t.Parallel()
	nats, app := startWithJetStream(t), startApp(t)
	var all []*gateway
	for i := range 3 {
		all = append(all, startGateway(t, app, "--cluster", nats.URL(), "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal",
			"--cluster-timeout", "1m", "--cluster-hold", "25s", "--cluster-dead-after", "28s"))
	}
	c := &together{nats: nats, gateways: all}
	c.whole(t)
	alice, bob := all[1].Dial(t, "alice"), all[0].Dial(t, "bob")
	app.opened("alice")
	app.opened("bob")
	all[1].recorded(t, 1)
	nats.Stop()
	minute := time.NewTimer(time.Minute)
	all[0].awaitOthers(t, 2, 2)
	send := func(payload string) {
		t.Helper()
		all[0].post(sendPath, `{"users":["alice","bob"],"payload":`+payload+`}`).answered(t, http.StatusBadGateway, memberName(1), memberName(2))
		bob.Receive(payload) // whoever is here gets it at once
	}
	send(`{"old":1}`)
	send(`{"old":2}`)
	looks := time.NewTicker(3 * time.Second) // the test is long, and no work
	defer looks.Stop()
	for over := false; !over; {
		for i, g := range all {
			others := []string{memberName(0), memberName(1), memberName(2)}
			g.get(countPath).answered(t, 0, slices.Delete(others, i, i+1)...)
			g.expectMetric(t, "ws_gateway_cluster_instances", 2)
		}
		select {
		case <-looks.C:
		case <-minute.C:
			over = true
		}
	}
	all[0].awaitMetric(t, givenUp, 2)
	lost := all[0].metricNow(t, givenUp)
	for n := range 5 {
		send(message(n))
	}
	nats.Restart()
	c.whole(t)
	for i, g := range all {
		g.reaches(message(5+i), "alice", "bob")
		g.get(countPath).answered(t, 0)
		g.expectMetric(t, "ws_gateway_cluster_takeovers_total", 0)
	}
	receives(t, alice, 0, 8) // and nothing old before them
	receives(t, bob, 5, 8)
	all[0].expectMetric(t, givenUp, lost)
	if lost := lostCloses(t, app.since(0)); len(lost) > 0 {
		t.Errorf("somebody was taken over: %q", lost)
	}
}

// NATS is away for a true second, and for ten, while somebody goes on sending.
func TestWhileNATSIsAwayForASecondOrTenNothingIsLostWithinTheHold(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{time.Second, 10 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			t.Parallel()
			c := startTogether(t, 2)
			alice := c.gateways[1].Dial(t, "alice")
			c.gateways[0].reaches(message(0), "alice")
			c.nats.Stop()
			back, next := time.NewTimer(away), 1
			sending := time.NewTicker(20 * time.Millisecond)
			defer sending.Stop()
			for over := false; !over; next++ {
				c.gateways[0].sends("alice", next, next+1)
				select {
				case <-sending.C:
				case <-back.C:
					over = true
				}
			}
			c.nats.Restart()
			c.whole(t)
			c.gateways[0].sends("alice", next, next+1)
			receives(t, alice, 0, next+1)
			c.gateways[0].expectMetric(t, givenUp, 0)
		})
	}
}

// sendLong sends a message of 10 MiB to alice through a gateway, and does not wait for it.
func sendLong(g *gateway, payload string) (answered chan answer) {
	answered = make(chan answer, 1)
	go func() {
		a, _ := g.tryRequest("http://"+g.Addr, http.MethodPost, sendPath, `{"users":["alice"],"payload":"`+payload+`"}`)
		answered <- a
	}()
	return answered
}

var longMessages = []string{"--max-api-body", "16MiB", "--write-timeout", "10m", "--max-pending-bytes", "64MiB", "--cluster-dead-after", "15s", "--cluster-hold", "14s"}

func TestAGatewayThatIsKilledInTheMiddleOfALongMessageHarmsNobody(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10<<20)
	for _, victim := range []string{"sender", "receiver"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			c := startTogether(t, 3, longMessages...)
			sender, receiver, third := c.gateways[0], c.gateways[1], c.gateways[2]
			alice, other := receiver.Dial(t, "alice"), third.Dial(t, "carol")
			alice.WS.SetReadLimit(16 << 20)
			sender.reaches(message(0), "alice")
			alice.Receive(message(0))
			const received = "ws_gateway_cluster_received_bytes_total"
			before := receiver.metricNow(t, received)
			answered := sendLong(sender, long)
			receiver.awaitMetric(t, received, before+1<<19) // a part
			if victim == "receiver" {
				_ = receiver.Cmd.Process.Kill()
				<-receiver.Exited
				(<-answered).answered(t, 0) // it was queued
				sender.awaitOthers(t, 1, 0)
				harness.Poll(t, "nothing to be held", func() bool { return sender.metricNow(t, "ws_gateway_cluster_held_bytes") < 1<<20 })
				sender.reaches(message(1), "carol")
				other.Receive(message(1))
				return
			}
			_ = sender.Cmd.Process.Kill()
			<-sender.Exited
			<-answered
			third.awaitOthers(t, 1, 0)
			receiver.awaitOthers(t, 1, 0)
			third.reaches(message(1), "alice")
			_, text, err := alice.Read()
			if err == nil && len(text) >= len(long) { // all of it had come
				_, text, err = alice.Read()
			}
			if err != nil || text != message(1) { // and nothing of a part
				t.Errorf("%d bytes came, %v", len(text), err)
			}
		})
	}
}

func TestAGatewayThatIsKilledInTheMiddleOfSendsHarmsNobody(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 3, "--cluster-dead-after", "15s", "--cluster-hold", "14s")
	alice, carol := c.gateways[1].Dial(t, "alice"), c.gateways[2].Dial(t, "carol")
	stopped := make(chan struct{})
	go func() { // to both, until it is killed
		defer close(stopped)
		for n := 0; ; n++ {
			if _, err := c.gateways[0].tryRequest("http://"+c.gateways[0].Addr, http.MethodPost, sendPath, fmt.Sprintf(`{"users":["alice","carol"],"payload":%s}`, message(n))); err != nil {
				return
			}
		}
	}()
	receives(t, alice, 0, 50)
	_ = c.gateways[0].Cmd.Process.Kill()
	<-c.gateways[0].Exited
	<-stopped
	c.gateways[1].awaitOthers(t, 1, 0)
	c.gateways[2].awaitOthers(t, 1, 0)
	c.gateways[1].reaches(`"end"`, "alice", "carol")
	for i, client := range []*client{alice, carol} { // what came of it is a beginning, in order
		for next := []int{50, 0}[i]; ; next++ {
			_, text, err := client.Read()
			if err != nil {
				t.Fatal(err)
			}
			if text == `"end"` || text == "end" {
				break
			}
			if text != message(next) {
				t.Fatalf("%s came, want message %d", text, next)
			}
		}
	}
}

func TestASlowConsumerThatNATSCutsLosesNothingWithinTheHold(t *testing.T) {
	t.Parallel()
	reserved := reservePort(t)
	s := natstest.Start(t, func(o *server.Options) {
		o.Port, o.WriteDeadline, o.MaxPending = reserved.number, 2*time.Second, 8<<20
	})
	c := &together{nats: s, gateways: []*gateway{startMember(t, s.URL(), 0), startMember(t, s.URL(), 1)}}
	c.whole(t)
	alice := c.gateways[1].Dial(t, "alice")
	stranger, err := nats.Connect(s.URL(), nats.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	c.gateways[1].Signal(syscall.SIGSTOP) // so that it does not read
	c.gateways[0].sends("alice", 0, 20)
	flood := make([]byte, 512<<10)
	harness.Poll(t, "NATS to cut the gateway that does not read", func() bool {
		for range 16 {
			_ = stranger.Publish("wsg.shop.hb", flood) // no packet: the other one counts and drops it
		}
		_ = stranger.Flush()
		return s.SlowConsumers() > 0
	})
	c.gateways[1].Signal(syscall.SIGCONT)
	c.whole(t)
	c.gateways[0].sends("alice", 20, 40)
	receives(t, alice, 0, 40)
}

func TestTwoClustersOfOneAppInTwoAccountsOfANATSDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		red, blue := server.NewAccount("red"), server.NewAccount("blue")
		o.Accounts = []*server.Account{red, blue}
		o.Users = []*server.User{{Username: "red", Password: "r", Account: red}, {Username: "blue", Password: "b", Account: blue}}
	})
	start := func(user string) *together {
		url := strings.Replace(s.URL(), "nats://", "nats://"+user+"@", 1)
		c := &together{nats: s, gateways: []*gateway{startMember(t, url, 0), startMember(t, url, 1)}}
		c.whole(t)
		return c
	}
	red, blue := start("red:r"), start("blue:b")
	for i, c := range []*together{red, blue} {
		alice := c.gateways[1].Dial(t, "alice")
		c.gateways[0].sends("alice", i, i+1)
		alice.Receive(message(i))
		if connections, _ := c.gateways[0].countIn(); connections != 1 {
			t.Errorf("%d connections", connections)
		}
	}
	red.whole(t)
}

// Twenty gateways lose NATS at once and come back at once. What they know of each other
// still is what it was, so nobody is told everything again; and when all are killed and start
// anew, each is told everything once.
func TestTwentyGatewaysThatComeBackAtOnceSendLittle(t *testing.T) {
	t.Parallel()
	const n, users, beat = 20, 5, 200
	s := startNATS(t)
	plain := harness.Plain(t)
	c := &together{nats: s, gateways: make([]*gateway, n)}
	start := func() {
		t.Helper()
		var all sync.WaitGroup
		for i := range n {
			args := []string{"--no-callback", "--loops", "1", "--cluster", s.URL(), "--cluster-app", "shop", "--cluster-name", memberName(i)}
			all.Go(func() { c.gateways[i] = launch{binary: plain, args: slices.Concat(args, patient)}.start(t) })
		}
		if all.Wait(); t.Failed() {
			t.FailNow()
		}
	}
	connect := func() {
		t.Helper()
		for i, g := range c.gateways {
			for j := range users {
				g.Dial(t, fmt.Sprintf("user-%d-%d", i, j))
			}
		}
	}
	known := func() {
		t.Helper()
		for _, g := range c.gateways {
			harness.Poll(t, "a gateway that knows all", func() bool {
				return g.metricNow(t, "ws_gateway_cluster_instances_silent") == 0 && g.metricNow(t, "ws_gateway_cluster_known_instances") == n-1 && g.metricNow(t, "ws_gateway_cluster_known_names") == (n-1)*users
			})
		}
	}
	received := func() (sum float64) {
		for _, g := range c.gateways {
			sum += g.metricNow(t, "ws_gateway_cluster_received_bytes_total")
		}
		return sum
	}
	within := func(began time.Time, got, each float64) {
		t.Helper()
		took := time.Since(began)
		most := float64(n*(n-1)) * (beat*(took.Seconds()+2) + each)
		if t.Logf("in %v all together received %.0f bytes, of %.0f", took, got, most); got > most {
			t.Error("that is too much")
		}
	}
	start()
	connect()
	known()
	before, asked := received(), c.gateways[0].metricNow(t, "ws_gateway_cluster_names_asked_again_total")
	began := time.Now()
	s.Stop()
	for _, g := range c.gateways {
		g.awaitOthers(t, n-1, n-1)
	}
	s.Restart()
	known()
	// Of heartbeats one a second from each, and one more when it is back; the rest is what
	// streams ask each other, a few packets for each two of them.
	within(began, received()-before, 1000)
	c.gateways[0].expectMetric(t, "ws_gateway_cluster_names_asked_again_total", asked)

	for _, g := range c.gateways {
		_ = g.Cmd.Process.Kill()
	}
	for _, g := range c.gateways {
		<-g.Exited
	}
	began = time.Now()
	start()
	connect()
	known()
	within(began, received(), 1000+users*400) // what begins a stream, and each user when it comes
	for i, g := range c.gateways {            // and a message goes from each to the next
		client := c.gateways[(i+1)%n].Dial(t, fmt.Sprint("last-", i))
		g.sends(fmt.Sprint("last-", i), i, i+1)
		client.Receive(message(i))
	}
}
