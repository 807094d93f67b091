package scenario

import (
	"context"
	"fmt"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// watchedOver are the values of a soak that are sampled.
var watchedOver = []struct {
	name, unit string
	margin     func(level float64) float64 // that it may grow by in the second half; nil: it is only shown
}{
	{"resident", "MiB", memoryMargin},
	{"resident as PSS", "MiB", memoryMargin},
	{"heap in use", "MiB", memoryMargin},
	{"goroutines", "", fewMore},
	{"descriptors beyond connections", "", fewMore},
	{"connections", "", nil},
	{"kernel slab, whole machine", "MiB", nil},
	{"latency p99", "ms", nil},
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
func (k *soaking) sample(ctx context.Context, x *load.Exchange) error {
	every := max(shortestSample, k.cfg.Duration/mostSamples)
	x.Begin()
	for k.began = time.Now(); time.Since(k.began) < k.cfg.Duration; {
		if err := pause(ctx, every, k.servers()); err != nil {
			return err
		}
		part := x.Lap()
		k.count(part)
		if err := k.take(part); err != nil {
			return err
		}
	}
	return nil
}

// take samples once.
func (k *soaking) take(part load.Result) error {
	now, err := k.look()
	if err != nil {
		return err
	}
	kernel, err := proc.KernelMemory()
	if err != nil {
		return err
	}
	const mebi = 1 << 20
	open := now.metrics["connections"]
	at := now.at.Sub(k.began).Seconds()
	for name, v := range map[string]float64{
		"resident":                       float64(now.memory.Resident) / mebi,
		"resident as PSS":                float64(now.memory.Proportional) / mebi,
		"heap in use":                    now.metrics["go_memstats_heap_inuse_bytes"] / mebi,
		"goroutines":                     now.metrics["go_goroutines"],
		"descriptors beyond connections": float64(now.descriptors) - now.metrics["socket_descriptors"],
		"connections":                    open,
		"kernel slab, whole machine":     float64(kernel.Slab) / mebi,
		"latency p99":                    part.Percentile(99),
	} {
		k.series[name] = append(k.series[name], [2]float64{at, v})
	}
	k.show(fmt.Sprintf("%v of %v, %s connections, %s MiB resident", now.at.Sub(k.began).Round(time.Second), k.cfg.Duration,
		report.Count(open), mebibytes(now.memory.Resident)))
	return nil
}

// outcome reports the soak and judges it.
func (k *soaking) outcome() (o outcome) {
	o.add("round trips", "", float64(k.total))
	o.add("connections opened by churn", "", float64(k.work.churned.Opened))
	o.add("messages pushed", "", float64(k.work.calls*pushedAtOnce))
	o.add("gateway CPU, of one processor", "%", 100*(k.after.cpu-k.before.cpu).Seconds()/k.after.at.Sub(k.before.at).Seconds())
	for _, w := range watchedOver {
		points := k.series[w.name]
		o.curves = append(o.curves, report.Curve{Name: w.name, Unit: w.unit, Axis: report.Seconds, Points: points})
		if len(points) > 0 {
			o.add(w.name+", at the end", w.unit, points[len(points)-1][1])
		}
		if w.margin == nil {
			continue
		}
		d, ok := driftOf(points)
		if !ok {
			o.notes = append(o.notes, fmt.Sprintf("%s: too short for a drift", w.name))
			continue
		}
		o.add(w.name+", drift an hour", w.unit, d.perHour)
		o.add(w.name+", drift an hour, ±", w.unit, d.spread)
		if most := w.margin(d.level); d.growth() > most {
			k.wrong.say("%s grew by %s %s at least in the second half (%s ± %s an hour), at equal connections; at most %s are allowed",
				w.name, report.Number(d.growth()), w.unit, report.Number(d.perHour), report.Number(d.spread), report.Number(most))
		}
	}
	k.judge()
	o.broken = k.wrong
	return o
}

// judge holds what the app was told, and who got what, against what must be.
func (k *soaking) judge() {
	b := &k.wrong
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
