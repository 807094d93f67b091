package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// SoakConfig says how much work a soak is, and for how long.
type SoakConfig struct {
	Duration time.Duration
	Conns    int     // clients that stay and send, each message a round trip
	Rate     float64 // their messages a second, in the open loop
	Size     int     // bytes of a message
	Churners int     // connections that come and go
	Churn    float64 // of them a second
	Pushed   int     // connections that get messages by the send API
	Push     float64 // calls a second
}

// pushedAtOnce is how many users one call names.
const pushedAtOnce = 10

// Soak has the gateway do all kinds of work for long, at a number of connections
// that stays the same, and looks whether memory or descriptors grow.
//
//	good clients, churners, pushed ones (this process) ──▶ child: gateway ⇄ child: sink, which audits events
func Soak(cfg SoakConfig) (Case, error) {
	switch {
	case cfg.Duration <= 0 || cfg.Rate <= 0 || cfg.Churn < 0 || cfg.Push < 0:
		return Case{}, errors.New("a soak needs a duration and a rate above 0, and no rate below it")
	case cfg.Conns < 2 || cfg.Churners < 1 || cfg.Pushed < pushedAtOnce || cfg.Conns+cfg.Churners+cfg.Pushed > MostConnections:
		return Case{}, fmt.Errorf("a soak needs 2 clients, a churner and %d that messages are pushed to, and at most %d connections in all",
			pushedAtOnce, MostConnections)
	}
	m, err := load.Event(cfg.Size)
	if err != nil {
		return Case{}, err
	}
	name := fmt.Sprintf("%v, %s clients at %s/s, %s churners at %s/s, %s calls/s to push", cfg.Duration, count(cfg.Conns),
		report.Count(cfg.Rate), count(cfg.Churners), report.Count(cfg.Churn), report.Count(cfg.Push))
	return Case{Scenario: "soak", Name: name, round: func(ctx context.Context, s stage) (outcome, error) {
		return s.soak(ctx, cfg, m)
	}}, nil
}

// Groups of users in the sink's audit.
const (
	churnGroup = "churn"
	pushGroup  = "push"
)

// soaking is a soak under way.
type soaking struct {
	stage
	weather
	cfg    SoakConfig
	client *load.Client
	churn  *load.Flock
	pushed *load.Flock
	work   *work

	began   time.Time
	before  sight
	after   sight
	series  map[string][][2]float64 // by name of what is watched
	replies load.Result             // of the last part
	wrong   invariants
	total   uint64 // round trips
}

func (s stage) soak(ctx context.Context, cfg SoakConfig, m *load.Message) (o outcome, err error) {
	k := &soaking{stage: s, weather: weather{Env: s.Env}, cfg: cfg, series: make(map[string][][2]float64)}
	k.gateway, k.app, k.control, err = s.Servers.startAround(ctx, []string{"--audit"}, patient)
	if err != nil {
		return o, err
	}
	defer k.app.Stop(stopGrace)
	defer k.gateway.Stop(stopGrace)
	defer k.leave()
	if err := k.arrive(ctx); err != nil {
		return o, err
	}
	x := k.client.Start(load.Traffic{Message: m, Rate: cfg.Rate})
	k.work = k.begin(ctx)
	err = k.sample(ctx, x)
	worked := k.work.end(ctx)
	k.count(x.End())
	if err = errors.Join(err, worked); err != nil {
		return o, err
	}
	if err := k.settle(ctx); err != nil {
		return o, err
	}
	return k.outcome(), nil
}

// all is how many connections there are but for those that are just changing.
func (k *soaking) all() int { return k.cfg.Conns + k.cfg.Churners + k.cfg.Pushed }

// arrive connects everybody, and waits until the app knows.
func (k *soaking) arrive(ctx context.Context) (err error) {
	if k.client, err = k.connect(ctx, load.Config{Target: k.gateway.Addr(), Header: identity(0)}, k.cfg.Conns); err != nil {
		return err
	}
	for _, f := range []struct {
		flock **load.Flock
		group string
		conns int
		first int
	}{
		{&k.churn, churnGroup, k.cfg.Churners, flockNumbering},
		{&k.pushed, pushGroup, k.cfg.Pushed, flockNumbering + k.cfg.Churners},
	} {
		*f.flock, err = load.NewFlock(load.FlockConfig{
			Target: k.gateway.Addr(), Conns: f.conns, First: f.first, Header: grouped(f.group), Window: gatherWindow,
		})
		if err != nil {
			return err
		}
		if _, err := (*f.flock).Gather(ctx, 0); err != nil {
			return err
		}
	}
	var left string
	if k.before, left, err = k.settled(ctx); err != nil {
		return err
	}
	if left != "" {
		return fmt.Errorf("before the soak there are still: %s", left)
	}
	return nil
}

func (k *soaking) settled(ctx context.Context) (sight, string, error) {
	now, err := k.until(ctx, settling, func(s sight) bool { return remains(s, k.all()) == "" })
	return now, remains(now, k.all()), err
}

// settle has the churners who are away come back, and waits until the app knows
// of everything.
func (k *soaking) settle(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stormPatience)
	defer cancel()
	if _, err := k.churn.Gather(ctx, 0); err != nil {
		return fmt.Errorf("having everybody come back: %w", err)
	}
	var left string
	if k.after, left, err = k.settled(ctx); err != nil {
		return err
	}
	if left != "" {
		k.wrong.say("%v after the soak there were still: %s", settling, left)
	}
	return nil
}

func (k *soaking) leave() {
	for _, f := range []*load.Flock{k.churn, k.pushed} {
		if f != nil {
			f.Close()
		}
	}
	if k.client != nil {
		k.client.Close()
	}
}

// count takes in a part of the round trips.
func (k *soaking) count(r load.Result) {
	k.wrong.goodTraffic(r)
	k.total += r.Messages
	k.replies = r
}
