package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Soak has the gateway do all kinds of work for long, at a number of connections
// that stays the same, and looks whether memory or descriptors grow.
//
//	good clients, churners, pushed ones (this process) ──▶ child: gateway ⇄ child: sink, which audits events
type Soak struct {
	Duration time.Duration `default:"10m" placeholder:"DUR" help:"How long; hours, to find a slow leak."`
	Conns    int           `default:"2000" placeholder:"N" help:"Clients that stay and send; each message is a round trip through the app."`
	Rate     float64       `default:"1000" placeholder:"N" help:"Their messages a second."`
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Churners int           `default:"500" placeholder:"N" help:"Connections that come and go, half of them with a reset."`
	Churn    float64       `default:"50" placeholder:"N" help:"Of them a second."`
	Pushed   int           `default:"100" placeholder:"N" help:"Connections that the send API pushes messages to."`
	Push     float64       `default:"20" placeholder:"N" help:"Calls of it a second, each to 10 of them."`
}

// pushedAtOnce is how many users one call names.
const pushedAtOnce = 10

// Cases are one.
func (k Soak) Cases(Options) ([]Case, error) {
	m, err := load.Event(k.Size)
	if err := firstOf(possible("--conns", k.Conns), err); err != nil {
		return nil, err
	}
	switch {
	case k.Duration <= 0 || k.Rate <= 0 || k.Churn < 0 || k.Push < 0:
		return nil, errors.New("a soak needs a duration and a rate above 0, and no rate below it")
	case k.Churners < 1 || k.Pushed < pushedAtOnce || k.all() > MostConnections:
		return nil, fmt.Errorf("a soak needs 2 clients, a churner and %d that messages are pushed to, and at most %d connections in all",
			pushedAtOnce, MostConnections)
	}
	name := fmt.Sprintf("%v, %s clients at %s/s, %s churners at %s/s, %s calls/s to push", k.Duration, count(k.Conns),
		report.Count(k.Rate), count(k.Churners), report.Count(k.Churn), report.Count(k.Push))
	return []Case{{Scenario: "soak", Name: name, Gateway: true, round: func(s *stage) {
		(&soak{cfg: k, series: make(map[string][][2]float64)}).round(s, load.Traffic{Message: m, Rate: k.Rate})
	}}}, nil
}

// all is how many connections there are but for those that are just changing.
func (k Soak) all() int { return k.Conns + k.Churners + k.Pushed }

// soak is one under way.
type soak struct {
	watch
	cfg    Soak
	churn  *load.Herd
	pushed *load.Herd
	work   *work

	began  time.Time
	before sample
	after  sample
	series map[string][][2]float64 // by name of what is watched
	total  uint64                  // round trips
}

func (k *soak) round(s *stage, traffic load.Traffic) {
	k.watch = newWatch(s, nil, patient)
	c := s.users(k.server, k.cfg.Conns)
	k.churn = k.newHerd(churnGroup, k.cfg.Churners, herdNumbering)
	k.pushed = k.newHerd(pushGroup, k.cfg.Pushed, k.firstPushed())
	for _, f := range []*load.Herd{k.churn, k.pushed} {
		must(f.Gather(k.ctx, 0))
	}
	var left string
	if k.before, left = k.settled(k.cfg.all()); left != "" {
		check(fmt.Errorf("before the soak there are still: %s", left))
	}
	flow := c.Start(traffic)
	k.work = k.begin(k.ctx)
	err := attempt(func() { k.sample(flow) })
	err = errors.Join(err, k.work.end(k.ctx))
	k.count(flow.End())
	check(err)
	k.settle()
	k.figures()
	k.judge()
}

// firstPushed is the number of the first connection that messages are pushed to.
func (k *soak) firstPushed() int { return herdNumbering + k.cfg.Churners }

// settle has the churners who are away come back, and waits until the app knows
// of everything.
func (k *soak) settle() {
	ctx, cancel := context.WithTimeout(k.ctx, stormPatience)
	defer cancel()
	within("having everybody come back", func() { must(k.churn.Gather(ctx, 0)) })
	var left string
	if k.after, left = k.settled(k.cfg.all()); left != "" {
		k.broken.say("%v after the soak there were still: %s", settling, left)
	}
}

// count takes in a part of the round trips.
func (k *soak) count(r load.Result) {
	k.broken.goodTraffic(r)
	k.total += r.Messages
}

// watchedOver are the values of a soak that are sampled.
var watchedOver = []struct {
	name, unit string
	value      func(now sample, part load.Result) float64
	margin     func(level float64) float64 // that it may grow by in the second half; nil: it is only shown
}{
	{"resident", "MiB", func(now sample, _ load.Result) float64 { return mebi(now.Memory.Resident) }, memoryMargin},
	{"resident as PSS", "MiB", func(now sample, _ load.Result) float64 { return mebi(now.Memory.Proportional) }, memoryMargin},
	{"heap in use", "MiB", func(now sample, _ load.Result) float64 {
		return now.metrics["go_memstats_heap_inuse_bytes"] / (1 << 20)
	}, memoryMargin},
	{"goroutines", "", func(now sample, _ load.Result) float64 { return now.metrics["go_goroutines"] }, fewMore},
	{"descriptors beyond connections", "", func(now sample, _ load.Result) float64 {
		return float64(now.Descriptors) - now.metrics["socket_descriptors"]
	}, fewMore},
	{"connections", "", func(now sample, _ load.Result) float64 { return now.metrics["connections"] }, nil},
	{"kernel slab, whole machine", "MiB", func(sample, load.Result) float64 { return mebi(must(proc.KernelMemory()).Slab) }, nil},
	{"latency p99", "ms", func(_ sample, part load.Result) float64 { return part.Percentile(99) }, nil},
}

// memoryMargin is for the collector's and the allocator's own moods.
func memoryMargin(level float64) float64 { return max(4, 0.05*level) }

// fewMore is for connections of callbacks and of the send API, which come as work
// does.
func fewMore(float64) float64 { return 16 }

const (
	mostSamples    = 200
	shortestSample = 50 * time.Millisecond
)

// sample looks at the gateway for the whole time.
func (k *soak) sample(flow *load.Exchange) {
	flow.Begin()
	for k.began = time.Now(); time.Since(k.began) < k.cfg.Duration; {
		k.wait(max(shortestSample, k.cfg.Duration/mostSamples))
		part := flow.Lap()
		k.count(part)
		now := k.look()
		since := now.at.Sub(k.began)
		for _, w := range watchedOver {
			k.series[w.name] = append(k.series[w.name], [2]float64{since.Seconds(), w.value(now, part)})
		}
		k.show(fmt.Sprintf("%v of %v, %s connections, %s MiB resident", since.Round(time.Second), k.cfg.Duration,
			report.Count(now.metrics["connections"]), mebibytes(now.Memory.Resident)))
	}
}

func (k *soak) figures() {
	k.add("round trips", "", float64(k.total))
	k.add("connections opened by churn", "", float64(k.work.churned.Opened))
	k.add("messages pushed", "", float64(k.work.calls*pushedAtOnce))
	k.add("gateway CPU, of one processor", "%", 100*(k.after.CPU-k.before.CPU).Seconds()/k.after.at.Sub(k.before.at).Seconds())
	for _, w := range watchedOver {
		points := k.series[w.name]
		k.curves = append(k.curves, report.Curve{Name: w.name, Unit: w.unit, Axis: report.Seconds, Points: points})
		if len(points) > 0 {
			k.add(w.name+", at the end", w.unit, points[len(points)-1][1])
		}
		if w.margin == nil {
			continue
		}
		d, ok := driftOf(points)
		if !ok {
			k.note("%s: too short for a drift", w.name)
			continue
		}
		k.add(w.name+", drift an hour", w.unit, d.perHour)
		k.add(w.name+", drift an hour, ±", w.unit, d.spread)
		if most := w.margin(d.level); d.growth() > most {
			k.broken.say("%s grew by %s %s at least in the second half (%s ± %s an hour), at equal connections; at most %s are allowed",
				w.name, report.Number(d.growth()), w.unit, report.Number(d.perHour), report.Number(d.spread), report.Number(most))
		}
	}
}

// judge holds what the app was told, and who got what, against what must be.
func (k *soak) judge() {
	b := &k.broken
	b.events(k.before, k.after, k.cfg.Conns)
	if g := k.after.app.Groups[churnGroup]; g.Open != g.Close+uint64(k.cfg.Churners) {
		b.say("%d churners are there: the app was told of %d opened and %d closed", k.cfg.Churners, g.Open, g.Close)
	}
	if n := k.work.missing(); n != 0 {
		b.say("%d of %d pushed messages did not arrive", n, k.work.calls*pushedAtOnce)
	}
	if n := k.work.churned.Ended + k.work.heard.Ended; n > 0 {
		b.say("%d connections were ended by the gateway", n)
	}
	if c := k.work.churned; c.Refused()+c.Failed > 0 {
		b.say("of %d attempts to come back %d were refused and %d failed (%s)", c.Attempts, c.Refused(), c.Failed, c.Failure)
	}
}
