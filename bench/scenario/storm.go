package scenario

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// StormConfig says how large a storm is.
type StormConfig struct {
	Conns  int           // connections that leave and come back
	Good   int           // clients that stay, and send
	Rate   float64       // their messages a second, in the open loop
	Size   int           // bytes of a message
	Polite bool          // they leave with close frames, not with resets
	Spread time.Duration // clients' jitter: they come back at random times within it; 0 is the worst case
}

// Storm has all connections but those of a few clients leave at once and come
// back, while these few go on. The app is told of all of it.
//
//	flock (this process)        ──▶ child: gateway ⇄ child: sink, which audits events
//	good clients (this process) ──▶
func Storm(cfg StormConfig) (Case, error) {
	if cfg.Conns < 1 || cfg.Good < 2 || cfg.Rate <= 0 || cfg.Spread < 0 || cfg.Conns+cfg.Good > MostConnections {
		return Case{}, fmt.Errorf("a storm needs connections, two clients that stay, a rate above 0, and %d connections at most in all", MostConnections)
	}
	m, err := load.Event(cfg.Size)
	if err != nil {
		return Case{}, err
	}
	how := "reset"
	if cfg.Polite {
		how = "closed"
	}
	back := "all at once"
	if cfg.Spread > 0 {
		back = "within " + cfg.Spread.String()
	}
	name := fmt.Sprintf("%s connections %s, back %s", count(cfg.Conns), how, back)
	return Case{Scenario: "storm", Name: name, round: func(ctx context.Context, s stage) (outcome, error) {
		return s.storm(ctx, cfg, m)
	}}, nil
}

// stormGroup is the group of the flock's users in the sink's audit.
const stormGroup = "storm"

// grouped makes connections users of a group.
func grouped(group string) func(dst []byte, conn int) []byte {
	return func(dst []byte, conn int) []byte {
		dst = append(dst, "User-Agent: "...)
		dst = append(dst, agents[conn%len(agents)]...)
		dst = append(dst, "\r\nX-Bfl-User: "+group+"-"...)
		dst = strconv.AppendInt(dst, int64(conn), 10)
		return append(dst, "\r\n"...)
	}
}

const (
	lull           = 2 * time.Second // before the storm, to compare with
	gatherWindow   = 128             // handshakes under way before the storm
	stormPatience  = 90 * time.Second
	flockNumbering = MostConnections // flocks' connections are numbered from here on, after the good clients'
)

// tempest is a storm under way.
type tempest struct {
	stage
	weather
	cfg    StormConfig
	flock  *load.Flock
	before sight // the storm
	back   sight // when everybody was back
	after  sight // when the app knew
	began  time.Time
	left   time.Time // when the last had left
	stuck  int       // close frames without an answer
	came   load.Gathering
	calm   load.Result
	storm  load.Result
	broken invariants
}

func (s stage) storm(ctx context.Context, cfg StormConfig, m *load.Message) (o outcome, err error) {
	t := &tempest{stage: s, weather: weather{Env: s.Env}, cfg: cfg}
	t.gateway, t.app, t.control, err = s.Servers.startAround(ctx, []string{"--audit"}, patient)
	if err != nil {
		return o, err
	}
	defer t.app.Stop(stopGrace)
	defer t.gateway.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: t.gateway.Addr(), Header: identity(0)}, cfg.Good)
	if err != nil {
		return o, err
	}
	defer c.Close()
	t.flock, err = load.NewFlock(load.FlockConfig{
		Target: t.gateway.Addr(), Conns: cfg.Conns, First: flockNumbering, Header: grouped(stormGroup), Window: gatherWindow,
	})
	if err != nil {
		return o, err
	}
	defer t.flock.Close()
	s.show("connecting")
	if err := t.gather(ctx, 0); err != nil {
		return o, err
	}
	if _, left, err := t.settled(ctx); err != nil || left != "" {
		return o, fmt.Errorf("before the storm there are still: %s (%w)", left, err)
	}
	if err := t.pass(ctx, c, m); err != nil {
		return o, err
	}
	return t.outcome(), nil
}

// gather has the flock come in.
func (t *tempest) gather(ctx context.Context, spread time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stormPatience)
	defer cancel()
	if t.came, err = t.flock.Gather(ctx, spread); err != nil {
		return fmt.Errorf("%d of %d connections are open after %d attempts, %d refused and %d failed (%s): %w",
			t.flock.Open(), t.cfg.Conns, t.came.Attempts, t.came.Refused(), t.came.Failed, t.came.Failure, err)
	}
	return nil
}

// settled waits until the app knows of everything that there is and was.
func (t *tempest) settled(ctx context.Context) (sight, string, error) {
	all := t.cfg.Conns + t.cfg.Good
	now, err := t.until(ctx, settling, func(s sight) bool { return remains(s, all) == "" })
	return now, remains(now, all), err
}

// pass lets the storm pass while the good clients go on.
func (t *tempest) pass(ctx context.Context, c *load.Client, m *load.Message) (err error) {
	x := c.Start(load.Traffic{Message: m, Rate: t.cfg.Rate})
	ended := false
	defer func() {
		if !ended {
			x.End()
		}
	}()
	t.show("calm before the storm")
	if err := pause(ctx, lull/4, t.servers()); err != nil {
		return err
	}
	x.Begin()
	if err := pause(ctx, lull, t.servers()); err != nil {
		return err
	}
	t.calm = x.Lap()
	if t.before, err = t.look(); err != nil {
		return err
	}
	t.show("storm")
	t.flock.SetWindow(0)
	t.began = time.Now()
	if t.cfg.Polite {
		if t.stuck, err = t.flock.Leave(ctx); err != nil {
			return err
		}
	} else {
		t.flock.Reset()
	}
	t.left = time.Now()
	if err := t.gather(ctx, t.cfg.Spread); err != nil {
		return err
	}
	if t.back, err = t.look(); err != nil {
		return err
	}
	var left string
	if t.after, left, err = t.settled(ctx); err != nil {
		return err
	}
	if left != "" {
		t.broken.say("%v after the storm there were still: %s", settling, left)
	}
	ended = true
	t.storm = x.End()
	return nil
}

// outcome judges the storm and reports it.
func (t *tempest) outcome() (o outcome) {
	took := t.back.at.Sub(t.began)
	o.add("until all are back", "s", took.Seconds())
	o.add("handshakes", "1/s", float64(t.came.Opened)/t.back.at.Sub(t.left).Seconds())
	cpu := (t.after.cpu - t.before.cpu).Seconds()
	o.add("gateway CPU, storm", "s", cpu)
	o.add("gateway CPU, 1,000 connections", "s", cpu/float64(t.cfg.Conns)*1e3)
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50", 50}, {"p99", 99}, {"max", 100}} {
		o.add("until one is back, "+p.name, "ms", float64(t.came.Times.ValueAtQuantile(p.at))/float64(time.Millisecond))
	}
	o.add("handshakes refused", "", float64(t.came.Refused()))
	o.add("handshakes failed", "", float64(t.came.Failed))
	o.add("until the app knows of all", "s", t.after.at.Sub(t.began).Seconds())
	o.add("gateway resident, before", "MiB", float64(t.before.memory.Resident)/(1<<20))
	o.add("gateway resident, highest", "MiB", float64(t.after.memory.Peak)/(1<<20))
	o.add("gateway resident, after", "MiB", float64(t.after.memory.Resident)/(1<<20))
	for _, l := range []struct {
		when string
		r    load.Result
	}{{"calm", t.calm}, {"storm", t.storm}} {
		o.add("others' latency p50, "+l.when, "ms", l.r.Percentile(50))
		o.add("others' latency p99, "+l.when, "ms", l.r.Percentile(99))
		o.add("others' latency max, "+l.when, "ms", l.r.Percentile(100))
		o.curves = append(o.curves, report.Curve{Name: "others' latency, " + l.when, Unit: "ms", Axis: report.Percentile, Points: l.r.Curve()})
	}
	if n := t.came.Refused() + t.came.Failed; n > 0 {
		o.notes = append(o.notes, fmt.Sprintf("who was turned away tried again: refused %v, failed %d (the first: %s)", t.came.Answers, t.came.Failed, t.came.Failure))
	}
	o.notes = append(o.notes, "the flock's clients and the app use the same processors as the gateway: times are the machine's, CPU is the gateway's")
	t.judge()
	o.broken = t.broken
	return o
}

// judge holds what the app was told, and what the others saw, against what must be.
func (t *tempest) judge() {
	b := &t.broken
	b.goodTraffic(t.calm)
	b.goodTraffic(t.storm)
	b.events(t.before, t.after, t.cfg.Good)
	conns := uint64(t.cfg.Conns)
	if g := t.after.app.Groups[stormGroup]; g.Open < 2*conns || g.Open != g.Close+conns {
		b.say("%d connections came, left and came back: the app was told of %d opened and %d closed", conns, g.Open, g.Close)
	}
	opens, closes := told(t.after.app)
	if held := t.after.metrics["connections"]; float64(opens) != float64(closes)+held {
		b.say("the app was told of %d opened and %d closed, and %s are held", opens, closes, report.Count(held))
	}
	if t.stuck > 0 {
		b.say("%d close frames had no answer", t.stuck)
	}
	if t.came.Ended > 0 {
		b.say("%d connections that were back were ended by the gateway", t.came.Ended)
	}
}
