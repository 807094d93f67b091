package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// Storm has all connections but those of a few clients leave at once and come
// back, while these few go on: some send messages, which the app answers, others ping the
// gateway and, to compare with, an idle server. The app is told of all of it.
//
//	herd (this process)           ──▶ child: gateway ⇄ child: sink, which audits events
//	good clients, watchers (this) ──▶
type Storm struct {
	Conns  []int           `default:"10000" placeholder:"N" help:"Connections that leave and come back; several numbers are several cases."`
	Leave  []string        `default:"reset,close" enum:"reset,close" help:"How they leave: reset, as when the network goes away, or close, with close frames. Both are several cases."`
	Spread []time.Duration `default:"0s,5s" placeholder:"DUR" help:"Clients come back at random times within this, 0s: all at once. Several are several cases."`
	Good   int             `default:"100" placeholder:"N" help:"Clients that stay and send."`
	Rate   float64         `default:"500" placeholder:"N" help:"Their messages a second."`
	Size   int             `default:"64" placeholder:"BYTES" help:"Payload of a message."`
}

// Cases are one for each number of connections, way to leave and spread.
func (t Storm) Cases(Options) (cases []Case, err error) {
	m, err := load.Event(t.Size)
	if err := firstOf(possible("--conns", t.Conns...), err); err != nil {
		return nil, err
	}
	for _, conns := range t.Conns {
		for _, leave := range slices.Compact(t.Leave) {
			for _, spread := range t.Spread {
				if t.Good < 2 || t.Rate <= 0 || spread < 0 || conns+t.Good > MostConnections {
					return nil, fmt.Errorf("a storm needs connections, two clients that stay, a rate above 0, and %d connections at most in all", MostConnections)
				}
				how, back := "reset", "all at once"
				if leave == "close" {
					how = "closed"
				}
				if spread > 0 {
					back = "within " + spread.String()
				}
				name := fmt.Sprintf("%s connections %s, back %s", count(conns), how, back)
				cases = append(cases, Case{Scenario: "storm", Name: name, Gateway: true, round: func(s *stage) {
					one := storm{conns: conns, good: t.Good, polite: leave == "close", spread: spread}
					one.round(s, load.Traffic{Message: m, Rate: t.Rate})
				}})
			}
		}
	}
	return cases, nil
}

const (
	lull          = 2 * time.Second // before the storm, to compare with
	gatherWindow  = 128             // handshakes under way before the storm
	stormPatience = 90 * time.Second
	herdNumbering = MostConnections // herds' connections are numbered from here on, after the good clients'
)

// storm is one under way.
type storm struct {
	watch
	conns  int           // connections that leave and come back
	good   int           // clients that stay, and send
	polite bool          // they leave with close frames, not with resets
	spread time.Duration // clients' jitter: they come back at random times within it; 0 is the worst case

	herd   *load.Herd
	before sample // the storm
	back   sample // when everybody was back
	after  sample // when the app knew
	began  time.Time
	left   time.Time // when the last had left
	stuck  int       // close frames without an answer
	came   load.Gathering
	calm   others
	during others
}

// others is what those noticed that stayed.
type others struct {
	load.Result // messages, through the app and back
	delays
}

// newHerd prepares connections that come and go. Their users are of a group.
func (w watch) newHerd(group string, conns, first int) *load.Herd {
	f := must(load.NewHerd(load.HerdConfig{
		Target: w.server.Addr(), Conns: conns, First: first, Header: named(group+"-", 0), Window: gatherWindow,
	}))
	w.cleanup(f.Close)
	return f
}

func (t *storm) round(s *stage, traffic load.Traffic) {
	t.watch = newWatch(s, nil, patient)
	c, w := s.users(t.server, t.good), s.watchers(t.server)
	t.herd = t.newHerd(stormGroup, t.conns, herdNumbering)
	s.show("connecting")
	t.gather(0)
	if _, left := t.settled(t.all()); left != "" {
		check(fmt.Errorf("before the storm there are still: %s", left))
	}
	flow, at := c.Start(traffic), w.start()
	err := attempt(func() { t.pass(flow, at) })
	t.during = others{flow.End(), at.end()}
	check(errors.Join(err, t.calm.idle.Err(), t.during.idle.Err()))
	t.figures()
	t.judge()
}

// all is how many connections there are when everybody is there.
func (t *storm) all() int { return t.conns + t.good + probes }

// gather has the herd come in.
func (t *storm) gather(spread time.Duration) {
	ctx, cancel := context.WithTimeout(t.ctx, stormPatience)
	defer cancel()
	var err error
	if t.came, err = t.herd.Gather(ctx, spread); err != nil {
		check(fmt.Errorf("%d of %d connections are open after %d attempts, %d refused and %d failed (%s): %w",
			t.herd.Open(), t.conns, t.came.Attempts, t.came.Refused(), t.came.Failed, t.came.Failure, err))
	}
}

// pass lets the storm pass while the good clients go on.
func (t *storm) pass(flow *load.Exchange, at watching) {
	t.show("calm before the storm")
	t.wait(lull / 4)
	flow.Begin()
	at.begin()
	t.wait(lull)
	t.calm = others{flow.Lap(), at.lap()}
	t.before = t.look()
	t.show("storm")
	t.herd.SetWindow(0)
	t.began = time.Now()
	if t.polite {
		t.stuck = must(t.herd.Leave(t.ctx))
	} else {
		t.herd.Reset()
	}
	t.left = time.Now()
	t.gather(t.spread)
	t.back = t.look()
	var left string
	if t.after, left = t.settled(t.all()); left != "" {
		t.broken.say("%v after the storm there were still: %s", settling, left)
	}
}

func (t *storm) figures() {
	t.add("until all are back", "s", t.back.at.Sub(t.began).Seconds())
	t.add("handshakes", "1/s", float64(t.came.Opened)/t.back.at.Sub(t.left).Seconds())
	cpu := (t.after.CPU - t.before.CPU).Seconds()
	t.add("gateway CPU, storm", "s", cpu)
	t.add("gateway CPU, 1,000 connections", "s", cpu/float64(t.conns)*1e3)
	t.percentiles("until one is back,", milliseconds(t.came.Times), 50, 99, 100)
	t.add("handshakes refused", "", float64(t.came.Refused()))
	t.add("handshakes failed", "", float64(t.came.Failed))
	t.add("until the app knows of all", "s", t.after.at.Sub(t.began).Seconds())
	t.add("gateway resident, before", "MiB", mebi(t.before.Memory.Resident))
	t.add("gateway resident, highest", "MiB", mebi(t.after.Memory.Peak))
	t.add("gateway resident, after", "MiB", mebi(t.after.Memory.Resident))
	t.noticed("calm", t.calm)
	t.noticed("storm", t.during)
	if n := t.came.Refused() + t.came.Failed; n > 0 {
		t.note("who was turned away tried again: refused %v, failed %d (the first: %s)", t.came.Answers, t.came.Failed, t.came.Failure)
	}
	t.note("the herd's clients and the app use the same processors as the gateway: times are the machine's, CPU is the gateway's")
}

// noticed adds what others noticed while it was calm, or during the storm.
func (t *storm) noticed(when string, o others) {
	for _, seen := range []struct {
		name string
		load.Result
	}{{"others' latency", o.Result}, {"others' pong", o.pong}, {"idle server's echo", o.idle}} {
		name := when + ": " + seen.name
		t.percentiles(name, seen.Percentile, 50, 99, 100)
		t.curves = append(t.curves, report.Curve{Name: name, Unit: "ms", Axis: report.Percentile, Points: seen.Curve()})
	}
}

// judge holds what the app was told, and what the others saw, against what must be.
func (t *storm) judge() {
	b := &t.broken
	for _, o := range []others{t.calm, t.during} {
		b.goodTraffic(o.Result)
		b.goodTraffic(o.pong)
	}
	b.events(t.before, t.after, t.good)
	conns := uint64(t.conns)
	if g := t.after.app.Groups[stormGroup]; g.Open < 2*conns || g.Open != g.Close+conns {
		b.say("%d connections came, left and came back: the app was told of %d opened and %d closed", conns, g.Open, g.Close)
	}
	if all, held := total(t.after.app), t.after.metrics["connections"]; float64(all.Open) != float64(all.Close)+held {
		b.say("the app was told of %d opened and %d closed, and %s are held", all.Open, all.Close, report.Count(held))
	}
	if t.stuck > 0 {
		b.say("%d close frames had no answer", t.stuck)
	}
	if t.came.Ended > 0 {
		b.say("%d connections that were back were ended by the gateway", t.came.Ended)
	}
}
