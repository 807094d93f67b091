package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/chaos"
	"ws-gateway/bench/child"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// ChaosConfig says how large chaos is.
type ChaosConfig struct {
	Duration time.Duration // of all variants together; what follows until all is quiet comes on top
	Seed     uint64
	Conns    int // clients at a time; each is followed by another
	Only     []string
}

// Chaos has an app misbehave in every way while clients come and go, and audits
// what the app got.
//
//	chaos.Crowd (this process) ──▶ child: gateway ──▶ chaos.App (this process)
type Chaos struct {
	cfg      ChaosConfig
	variants []variant
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
		{name: "outages", temper: outages, retryFor: 3 * time.Second},
		{name: "outages, batches", temper: outages, retryFor: 3 * time.Second, args: batch, batches: true},
	}
}

// NewChaos plans chaos.
func NewChaos(cfg ChaosConfig) (*Chaos, error) {
	s := &Chaos{cfg: cfg}
	known := variants()
	for _, v := range known {
		if len(cfg.Only) == 0 || slices.Contains(cfg.Only, v.name) {
			s.variants = append(s.variants, v)
		}
	}
	for _, name := range cfg.Only {
		if !slices.ContainsFunc(known, func(v variant) bool { return v.name == name }) {
			names := make([]string, len(known))
			for i, v := range known {
				names[i] = v.name
			}
			return nil, fmt.Errorf("there is no variant %q; there are %s", name, strings.Join(names, "; "))
		}
	}
	if each := cfg.Duration / time.Duration(len(s.variants)); each < time.Second {
		return nil, fmt.Errorf("--duration leaves %v for each of %d variants; they need a second at least", each, len(s.variants))
	}
	if cfg.Conns < 1 || cfg.Conns > MostConnections {
		return nil, fmt.Errorf("--conns must be 1 to %d", MostConnections)
	}
	return s, nil
}

// Run has one variant follow another, and gives each one's row to record. An error
// means that one could not be held, not that the gateway did wrong: that is in
// Round.Broken.
func (s *Chaos) Run(ctx context.Context, env *Env, record func(report.Round) error) error {
	for i, v := range s.variants {
		env.Progress.Say("variant %d of %d: %s", i+1, len(s.variants), v.name)
		round, err := s.hold(ctx, env, v)
		if err != nil {
			return fmt.Errorf("variant %s: %w", v.name, err)
		}
		if err := record(round); err != nil {
			return fmt.Errorf("recording a variant: %w", err)
		}
	}
	return nil
}

// upheaval is a variant while it goes on.
type upheaval struct {
	variant
	gateway *child.Process
	app     *chaos.App
	dir     string // of the dead letters, and of what the race detector says
	behind  int    // events that were written behind another one
}

// hold goes through one variant.
func (s *Chaos) hold(ctx context.Context, env *Env, v variant) (round report.Round, err error) {
	load := proc.LoadAverage()
	machine, err := proc.MachineUsage()
	if err != nil {
		return round, err
	}
	u := &upheaval{variant: v}
	if u.dir, err = os.MkdirTemp("", "ws-bench-chaos-"); err != nil {
		return round, fmt.Errorf("a folder for dead letters: %w", err)
	}
	defer os.RemoveAll(u.dir)
	u.app, err = chaos.NewApp(chaos.AppConfig{
		Temper: v.temper, Seed: s.cfg.Seed, Timeout: attemptTimeout, RetryFor: v.retryFor, Replies: v.replies, Pipeline: v.pipeline,
	})
	if err != nil {
		return round, err
	}
	stopped := false
	stop := func() (chaos.Record, []string) { stopped = true; return u.app.Stop() }
	defer func() {
		if !stopped {
			stop()
		}
	}()
	servers := env.Servers
	servers.GatewayEnv = []string{"GORACE=log_path=" + filepath.Join(u.dir, "race") + " atexit_sleep_ms=0"}
	u.gateway, err = servers.startGateway(ctx, u.app.URL(), u.flags())
	if err != nil {
		return round, err
	}
	defer u.gateway.Stop(stopGrace)
	e, findings, err := u.pass(ctx, env, s, stop)
	if err != nil {
		return round, err
	}
	after, err := proc.MachineUsage()
	if err != nil {
		return round, err
	}
	own, err := ownCPU()
	if err != nil {
		return round, err
	}
	return u.round(findings, e, host(load, after.Sub(machine), own)), nil
}

// pass lets a variant pass and looks at what it has left.
func (u *upheaval) pass(ctx context.Context, env *Env, s *Chaos, stop func() (chaos.Record, []string)) (*chaos.Evidence, *chaos.Findings, error) {
	clients, err := u.rage(ctx, s.cfg, s.cfg.Duration/time.Duration(len(s.variants)))
	if err != nil {
		return nil, nil, err
	}
	env.Progress.Say("%s: until all is quiet", u.name)
	counts, restless, err := u.rest(ctx)
	if err != nil {
		return nil, nil, err
	}
	u.gateway.Stop(restTimeout)
	u.behind = int(counts["callback_pipelined_total"])
	e := &chaos.Evidence{
		Clients: clients, Timeouts: int(counts["callback_outcomes_total{timeout}"]),
		Timeout: attemptTimeout, RetryFor: u.retryFor, Replies: u.replies, Batches: u.batches,
	}
	e.Record, e.Odd = stop()
	if e.Letters, err = u.letters(); err != nil {
		e.Odd = append(e.Odd, err.Error())
	}
	findings := chaos.Audit(*e)
	findings.Broken = append(findings.Broken, restless...)
	findings.Broken = append(findings.Broken, accounts(&findings, counts)...)
	findings.Broken = append(findings.Broken, u.exit()...)
	return e, &findings, nil
}

func (u *upheaval) flags() []string {
	args := append([]string{
		"--callback-timeout", attemptTimeout.String(), "--callback-retry-for", u.retryFor.String(),
		"--callback-concurrency", "16", "--callback-queue", "16", // few, so that they run out
		"--dead-letter", u.deadLetters(), "--dead-letter-max-size", "1GiB",
	}, patient...)
	return append(args, u.args...)
}

func (u *upheaval) deadLetters() string { return filepath.Join(u.dir, "dead.jsonl") }

// rage lets clients come while the app misbehaves, and returns when all have gone
// and it has come to its senses.
func (u *upheaval) rage(ctx context.Context, cfg ChaosConfig, each time.Duration) ([]chaos.Client, error) {
	raging, calm := context.WithTimeout(ctx, each)
	defer calm()
	go func() { // a gateway that has ended has no clients to wait for
		select {
		case <-u.gateway.Exited():
			calm()
		case <-raging.Done():
		}
	}()
	misbehaved := make(chan error, 1)
	go func() { misbehaved <- u.app.Misbehave(raging) }()
	clients := chaos.Crowd(raging, chaos.CrowdConfig{
		Gateway: u.gateway.Addr(), Seats: cfg.Conns, Seed: cfg.Seed,
		Close: func(user string, code int) error { return closeUser(u.gateway.Addr(), user, code) },
	})
	return clients, errors.Join(<-misbehaved, u.gateway.Alive(), ctx.Err())
}

// closeUser calls the close API.
func closeUser(gateway netip.AddrPort, user string, code int) error {
	command, err := json.Marshal(map[string]any{"users": []string{user}, "code": code, "reason": "enough"})
	if err != nil {
		return err
	}
	return order(gateway, "/tapr/ws/conn/close", command)
}

// rest waits until the gateway has nothing left to do.
func (u *upheaval) rest(ctx context.Context) (counts metrics, restless []string, err error) {
	for deadline := time.Now().Add(u.retryFor + restTimeout); ; {
		if counts, err = scrape(u.gateway.Addr()); err != nil {
			return nil, nil, errors.Join(err, u.gateway.Alive())
		}
		busy := counts["connections"] + counts["callback_lanes"] + counts["callbacks_in_flight"]
		if busy == 0 {
			return counts, nil, nil
		}
		if time.Now().After(deadline) {
			return counts, []string{fmt.Sprintf("the gateway still has %v connections, %v lanes and %v callbacks in flight long after the last client left",
				counts["connections"], counts["callback_lanes"], counts["callbacks_in_flight"])}, nil
		}
		if err := pause(ctx, sampling, []*child.Process{u.gateway}); err != nil {
			return nil, nil, err
		}
	}
}

func (u *upheaval) letters() ([]chaos.Letter, error) {
	file, err := os.ReadFile(u.deadLetters())
	if err != nil {
		return nil, fmt.Errorf("reading the dead letters: %w", err)
	}
	return chaos.Letters(file)
}
