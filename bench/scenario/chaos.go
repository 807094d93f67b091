package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ws-gateway/bench/chaos"
	"ws-gateway/bench/child"
)

// Chaos has an app misbehave in every way while clients come and go, and audits
// what the app got.
//
//	chaos.Crowd (this process) ──▶ child: gateway ──▶ chaos.App (this process)
//
// Where clients resume their sessions the network misbehaves too:
//
//	chaos.Crowd ──badlink.Link──▶ child: gateway ◀──send API── chaos.Sender
type Chaos struct {
	Only     []string      `placeholder:"NAME" sep:";" help:"Variants to hold, such as 'replies' or 'outages'; several are separated by semicolons. Default: all."`
	Duration time.Duration `default:"2m" placeholder:"DUR" help:"Time in which clients come and the app misbehaves, of all variants together. Each takes some seconds more until all is quiet."`
	Conns    int           `default:"60" placeholder:"N" help:"Clients at a time; each that leaves is followed by another."`
	Seed     uint64        `default:"0" placeholder:"N" help:"Seed of what the app and the clients do. 0: a random one, which the table names."`
}

// variant is a way to run the gateway, and what it meets.
type variant struct {
	name     string
	temper   chaos.Temper
	retryFor time.Duration
	args     []string
	replies  bool
	batches  bool
	pipeline int
	resume   bool // clients resume their sessions, and their connections are cut
}

const (
	attemptTimeout = time.Second
	restTimeout    = 90 * time.Second // for the gateway to be done with everything, once the app behaves
)

func variants() []variant {
	all := chaos.Temper{Connections: true, Answers: true, Ports: true}
	outages := chaos.Temper{Connections: true, Answers: true, Outages: true}
	const window = time.Minute
	batch := []string{"--callback-batch", "20", "--callback-linger", "2ms"}
	return []variant{
		{name: "answers", temper: chaos.Temper{Answers: true}, retryFor: window},
		{name: "connections", temper: chaos.Temper{Connections: true, Ports: true}, retryFor: window},
		{name: "everything", temper: all, retryFor: window},
		{name: "batches", temper: all, retryFor: window, args: batch, batches: true},
		{name: "replies", temper: all, retryFor: window, args: []string{"--callback-reply"}, replies: true},
		{
			name: "pipelines", temper: all, retryFor: window, pipeline: 8,
			args: []string{"--callback-pipeline", "8", "--callback-concurrency", "4"},
		},
		{
			name: "resume", temper: all, retryFor: window, replies: true, resume: true,
			args: []string{"--callback-reply", "--resume-for", resumeFor.String(), "--resume-buffer", strconv.Itoa(resumeBuffer)},
		},
		{name: "outages", temper: outages, retryFor: 3 * time.Second},
		{name: "outages, batches", temper: outages, retryFor: 3 * time.Second, args: batch, batches: true},
	}
}

// Cases are one for each variant. An error means that one could not be held, not
// that the gateway did wrong: that is in Round.Broken.
func (c Chaos) Cases(Options) (cases []Case, err error) {
	held, err := chosen("variant", variants(), c.Only, func(v variant) string { return v.name }, "; ")
	if err != nil {
		return nil, err
	}
	each := c.Duration / time.Duration(len(held))
	if each < time.Second {
		return nil, fmt.Errorf("--duration leaves %v for each of %d variants; they need a second at least", each, len(held))
	}
	if c.Conns < 1 || c.Conns > MostConnections {
		return nil, fmt.Errorf("--conns must be 1 to %d", MostConnections)
	}
	for _, v := range held {
		cases = append(cases, Case{Scenario: "chaos", Name: v.name, Gateway: true, round: func(s *stage) {
			(&chaosRun{stage: s, variant: v, cfg: c}).hold(each)
			s.note("seed %d", c.Seed)
		}})
	}
	return cases, nil
}

// chaosRun is a variant while it goes on.
type chaosRun struct {
	*stage
	variant
	cfg    Chaos
	server *child.Process
	app    *chaos.App
	roaming
	dir string // of the dead letters, and of what the race detector says
}

// hold goes through one variant and looks at what it has left.
func (u *chaosRun) hold(each time.Duration) {
	u.dir = must(os.MkdirTemp("", "ws-bench-chaos-"))
	u.cleanup(func() { os.RemoveAll(u.dir) })
	u.app = must(chaos.NewApp(chaos.AppConfig{
		Temper: u.temper, Seed: u.cfg.Seed, Timeout: attemptTimeout, RetryFor: u.retryFor, Replies: u.replies, Pipeline: u.pipeline,
	}))
	stopped := false
	stop := func() (chaos.Record, []string) { stopped = true; return u.app.Stop() }
	u.cleanup(func() {
		if !stopped {
			stop()
		}
	})
	u.server = u.start(child.Spec{
		Name: "gateway", Path: u.Gateway, Args: u.gatewayArgs(u.app.URL(), u.flags()), Ready: readyLine,
		Env: []string{"GORACE=log_path=" + filepath.Join(u.dir, "race") + " atexit_sleep_ms=0"},
	})
	clients := u.misbehave(each)
	u.show("until all is quiet")
	counts := u.rest()
	u.server.Stop(restTimeout)
	e := chaos.Evidence{
		Clients: clients, Timeouts: int(counts["callback_outcomes_total{timeout}"]),
		Timeout: attemptTimeout, RetryFor: u.retryFor, Replies: u.replies, Batches: u.batches, Sessions: u.resume,
	}
	e.Record, e.Odd = stop()
	var err error
	if e.Letters, err = u.letters(); err != nil {
		e.Odd = append(e.Odd, err.Error())
	}
	findings := chaos.Audit(e)
	u.broken = append(findings.Broken, u.broken...)
	u.accounts(&findings, counts)
	u.exit()
	u.figures(&findings, &e, counts)
	if u.resume {
		u.judgeSessions(clients, counts)
	}
}

func (u *chaosRun) flags() []string {
	args := append([]string{
		"--callback-timeout", attemptTimeout.String(), "--callback-retry-for", u.retryFor.String(),
		"--callback-concurrency", "16", "--callback-queue", "16", // few, so that they run out
		"--dead-letter", u.deadLetters(), "--dead-letter-max-size", "1GiB",
	}, patient...)
	return append(args, u.args...)
}

func (u *chaosRun) deadLetters() string { return filepath.Join(u.dir, "dead.jsonl") }

// misbehave lets clients come while the app misbehaves, and returns when all have gone
// and it has come to its senses.
func (u *chaosRun) misbehave(each time.Duration) []chaos.Client {
	raging, calm := context.WithTimeout(u.ctx, each)
	defer calm()
	go func() { // a gateway that has ended has no clients to wait for
		select {
		case <-u.server.Exited():
			calm()
		case <-raging.Done():
		}
	}()
	misbehaved := make(chan error, 1)
	go func() { misbehaved <- u.app.Misbehave(raging) }()
	crowd := chaos.CrowdConfig{Gateway: u.server.Addr(), Seats: u.cfg.Conns, Seed: u.cfg.Seed, Close: u.closeUser}
	var clients []chaos.Client
	if u.resume {
		clients = u.roam(raging, crowd)
	} else {
		clients = chaos.Crowd(raging, crowd)
	}
	check(errors.Join(<-misbehaved, u.server.Alive(), u.ctx.Err()))
	return clients
}

// closeUser calls the close API.
func (u *chaosRun) closeUser(user string, code int) error {
	command, err := json.Marshal(map[string]any{"users": []string{user}, "code": code, "reason": "enough"})
	if err != nil {
		return err
	}
	return order(u.server.Addr(), "/tapr/ws/conn/close", command)
}

// rest waits until the gateway has nothing left to do.
func (u *chaosRun) rest() metrics {
	busy := func(m metrics) float64 { return m["connections"] + m["callback_lanes"] + m["callbacks_in_flight"] }
	counts := until(u.stage, u.retryFor+restTimeout, sampling, func() metrics { return scraped(u.server) },
		func(now metrics) bool { return busy(now) == 0 }, u.server)
	if busy(counts) > 0 {
		u.broken.say("the gateway still has %v connections, %v lanes and %v callbacks in flight long after the last client left",
			counts["connections"], counts["callback_lanes"], counts["callbacks_in_flight"])
	}
	return counts
}

func (u *chaosRun) letters() ([]chaos.Letter, error) {
	file, err := os.ReadFile(u.deadLetters())
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	return chaos.Letters(file)
}
