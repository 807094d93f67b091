package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Margins of what must return to the level before the abuse.
const (
	// Slabs and pools that have grown stay, and the runtime returns pages bit by bit.
	memoryShare = 0.25
	memoryBytes = 16 << 20

	// Connections for callbacks and for the send API, 64 each, are kept for reuse.
	descriptorMargin = 128
)

func memoryLimit(level uint64) uint64 {
	return level + max(uint64(memoryShare*float64(level)), memoryBytes)
}

// AbuseColumns are the columns of the abuse's table.
func AbuseColumns() []report.Column {
	return []report.Column{
		{Head: "abusers", Figure: abusersFigure}, {Head: "replies", Figure: repliesFigure}, {Head: "wrong", Figure: wrongFigure},
		{Head: "p50 ms", Figure: "latency p50"}, {Head: "p99", Figure: "latency p99"}, {Head: "p99.9", Figure: "latency p99.9"},
		{Head: "max", Figure: "latency max"}, {Head: "waited %", Figure: waitedFigure}, {Head: "gw CPU %", Figure: gatewayFigure}, {Head: "abusers %", Figure: attackersFigure},
		{Head: "app %", Figure: appFigure}, {Head: "others %", Figure: othersFigure}, {Head: "RSS MiB", Figure: residentFigure},
		{Head: "fds", Figure: descriptorsFigure},
	}
}

// Names of figures.
const (
	abusersFigure     = "abusing connections"
	repliesFigure     = "replies to good clients"
	wrongFigure       = "replies wrong or lost, good connections broken"
	waitedFigure      = "good clients waited for a processor"
	gatewayFigure     = "gateway CPU, of one processor"
	attackersFigure   = "attackers' CPU, of one processor"
	appFigure         = "app CPU, of one processor"
	othersFigure      = "others' CPU, of one processor"
	residentFigure    = "gateway resident, at the end"
	descriptorsFigure = "gateway descriptors, at the end"
)

// round makes the phase's row.
func (p *passage) round(broken []string) report.Round {
	var o outcome
	conns := 0
	for _, a := range p.phase.attacks {
		conns += a.conns
	}
	o.add(abusersFigure, "", float64(conns))
	p.addGood(&o)
	p.addCosts(&o)
	o.add(residentFigure, "MiB", float64(p.during.memory.Resident)/(1<<20))
	o.add("gateway resident, highest", "MiB", float64(max(p.highest, p.during.memory.VmRSS))/(1<<20))
	o.add(descriptorsFigure, "", float64(p.during.descriptors))
	o.add("until rid of the attackers", "s", p.after.at.Sub(p.during.at).Seconds())
	if p.phase.push {
		o.add("send API, slowest call", "ms", float64(p.slowest)/float64(time.Millisecond))
	}
	o.notes = p.notes()
	h := host(p.load, p.after.machine.Sub(p.before.machine), p.measured())
	return report.Round{
		Record: "round", Scenario: "abuse", Case: p.phase.name, Round: 1, Figures: o.figures, Notes: o.notes,
		Broken: broken, Host: h,
	}
}

// addGood reports what the good clients saw.
func (p *passage) addGood(o *outcome) {
	r := p.traffic
	o.add(repliesFigure, "", float64(r.Messages))
	o.add(wrongFigure, "", float64(r.Failures))
	for _, q := range []struct {
		name string
		at   float64
	}{{"latency p50", 50}, {"latency p99", 99}, {"latency p99.9", 99.9}, {"latency max", 100}} {
		o.add(q.name, "ms", r.Percentile(q.at))
	}
	o.add(waitedFigure, "%", 100*r.Waited)
}

// measured is the processor time of all processes that belong to the abuse.
func (p *passage) measured() time.Duration {
	a, b := p.before, p.after
	return b.cpu - a.cpu + b.sinkCPU - a.sinkCPU + b.own - a.own + p.cpu
}

// addCosts reports who used the processors. The attackers' share is of the time
// in which there were any.
func (p *passage) addCosts(o *outcome) {
	a, b := p.before, p.during
	elapsed := b.at.Sub(a.at)
	share := func(cpu, of time.Duration) float64 { return 100 * cpu.Seconds() / of.Seconds() }
	o.add(gatewayFigure, "%", share(b.cpu-a.cpu, elapsed))
	o.add(attackersFigure, "%", share(p.cpu, elapsed))
	o.add(appFigure, "%", share(b.sinkCPU-a.sinkCPU, elapsed))
	o.add("good clients' CPU, of one processor", "%", share(b.own-a.own, elapsed))
	whole := p.after.at.Sub(a.at)
	o.add(othersFigure, "%", max(0, share(p.after.machine.Sub(a.machine).Busy-p.measured(), whole)))
}

// reactions are the metrics that say what the gateway did to attackers.
var reactions = []string{"upgraded_total", "handshake_errors_total", "handshake_timeouts_total", "accept_errors_total", "read_pauses_total", "callback_retries_total"}

// notes say what the gateway did, and what the attackers did and saw.
func (p *passage) notes() []string {
	if len(p.phase.attacks) == 0 {
		return nil
	}
	moved := p.after.metrics.sub(p.before.metrics)
	var did []string
	say := func(name string) {
		if moved[name] != 0 {
			did = append(did, strings.ReplaceAll(strings.TrimSuffix(name, "_total"), "_total{", "{")+" "+report.Count(moved[name]))
		}
	}
	for _, name := range reactions {
		say(name)
	}
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		if strings.HasPrefix(name, "closed_total{") || strings.HasPrefix(name, "upgrades_refused_total{") {
			say(name)
		}
	}
	if n := forwarded(p.after.app) - forwarded(p.before.app); n > 0 {
		did = append(did, "forwarded "+report.Count(float64(n)))
	}
	if len(did) == 0 {
		did = []string{"nothing"}
	}
	notes := []string{"gateway: " + strings.Join(did, ", ")}
	for i, c := range p.attackers {
		text := fmt.Sprintf("attacker %s: %s dials, %s frames or requests sent, %s KiB out, %s KiB in, %s ended by the server, %s by itself",
			p.phase.attacks[i].kind, report.Count(float64(c.Dialled)), report.Count(float64(c.Sent)), report.Count(float64(c.SentBytes>>10)),
			report.Count(float64(c.GotBytes>>10)), report.Count(float64(c.Ended)), report.Count(float64(c.Hangups)))
		for _, answer := range slices.Sorted(maps.Keys(c.Answers)) {
			text += fmt.Sprintf(", %s × %s", answer, report.Count(float64(c.Answers[answer])))
		}
		if c.Skipped > 0 {
			text += fmt.Sprintf("; %s turns left out", report.Count(float64(c.Skipped)))
		}
		if c.Failed > 0 {
			text += fmt.Sprintf("; %s dials failed, the first: %s", report.Count(float64(c.Failed)), c.Failure)
		}
		notes = append(notes, text)
	}
	return notes
}

// broken says what must hold and did not.
func (p *passage) broken() []string {
	var b invariants
	b.goodTraffic(p.traffic)
	b.events(p.before, p.after, p.good)
	if p.unrid != "" {
		b.say("%v after the attackers had gone there were still: %s", settling, p.unrid)
	}
	for _, err := range p.failed {
		b.say("%v", err)
	}
	moved := p.after.metrics.sub(p.before.metrics)
	for _, e := range p.phase.effects {
		got := moved[e.what]
		for _, c := range p.attackers {
			got += float64(c.Answers[e.what])
		}
		if got < e.least {
			b.say("the attack had no effect: %s is %s, not %s at least", e.what, report.Count(got), report.Count(e.least))
		}
	}
	return b
}

// invariants collects those that are broken.
type invariants []string

func (b *invariants) say(format string, args ...any) { *b = append(*b, fmt.Sprintf(format, args...)) }

func (b *invariants) goodTraffic(r load.Result) {
	if r.Failures > 0 {
		b.say("good clients: %v", failures(r))
	}
}

// events holds what the app was told between two sights against what the gateway
// says it did; good clients are open all the time.
func (b *invariants) events(before, after sight, good int) {
	if n := after.app.Failed - before.app.Failed; n > 0 {
		b.say("the app: %d failures, the first ever: %s", n, after.app.Failure)
	}
	for _, name := range slices.Sorted(maps.Keys(after.app.Groups)) {
		g := after.app.Groups[name]
		if n := g.Faults - before.app.Groups[name].Faults; n > 0 {
			b.say("%d wrong events of users %s-…, the first ever: %s", n, name, g.Fault)
		}
	}
	if g := after.app.Groups[goodGroup]; g.Open != uint64(good) || g.Close != 0 {
		b.say("%d good clients gave %d open and %d close events", good, g.Open, g.Close)
	}
	moved := after.metrics.sub(before.metrics)
	if n := moved.sum("callbacks_failed_total"); n > 0 {
		b.say("%s events were given up", report.Count(n))
	}
}

// after waits for what must return, lets the good clients go too and makes the
// last row.
func (w *weather) after(ctx context.Context, c *load.Client, end func() load.Result) (report.Round, error) {
	level := w.level
	if level == nil {
		level = &w.began
	}
	var b invariants
	began := time.Now()
	now, err := w.until(ctx, w.back, func(s sight) bool {
		return s.memory.Resident <= memoryLimit(level.memory.Resident) && s.descriptors <= level.descriptors+descriptorMargin
	})
	if err != nil {
		return report.Round{}, err
	}
	waited := time.Since(began)
	if most := memoryLimit(level.memory.Resident); now.memory.Resident > most {
		b.say("%s MiB are resident %v after the abuse, %s before it, at most %s are allowed", mebibytes(now.memory.Resident), w.back,
			mebibytes(level.memory.Resident), mebibytes(most))
	}
	if most := level.descriptors + descriptorMargin; now.descriptors > most {
		b.say("%d descriptors are open %v after the abuse, %d before it, at most %d are allowed", now.descriptors, w.back, level.descriptors, most)
	}
	if n := now.metrics["socket_descriptors"]; n != float64(w.cfg.Good) {
		b.say("%s client sockets are open for %d good clients", report.Count(n), w.cfg.Good)
	}
	b.events(w.began, now, w.cfg.Good)
	last := passage{phase: phase{name: "after"}, good: w.cfg.Good, before: w.began, during: now, load: proc.LoadAverage()}
	last.traffic = end()
	b.goodTraffic(last.traffic)
	c.Close()
	if last.after, err = w.until(ctx, settling, func(s sight) bool { return remains(s, 0) == "" }); err != nil {
		return report.Round{}, err
	}
	b.complete(last.after, w.cfg.Good)
	r := last.round(b)
	r.Notes = append(r.Notes,
		fmt.Sprintf("before the first attack: %s MiB resident, %d descriptors; after %v: %s MiB, %d descriptors (allowed: %s MiB, %d)",
			mebibytes(level.memory.Resident), level.descriptors, waited.Round(10*time.Millisecond), mebibytes(now.memory.Resident), now.descriptors,
			mebibytes(memoryLimit(level.memory.Resident)), level.descriptors+descriptorMargin),
		fmt.Sprintf("highest ever: %s MiB resident", mebibytes(now.memory.Peak)),
		fmt.Sprintf("in all: %s connections upgraded and ended, %s open and %s close events, %s events came again",
			report.Count(last.after.metrics["upgraded_total"]), report.Count(float64(last.after.app.Open)),
			report.Count(float64(last.after.app.Close)), report.Count(float64(repeats(last.after)))))
	return r, nil
}

// until looks until what it sees is right, no longer than patience.
func (w *weather) until(ctx context.Context, patience time.Duration, right func(sight) bool) (sight, error) {
	for deadline := time.Now().Add(patience); ; {
		now, err := w.look()
		if err != nil || right(now) || time.Now().After(deadline) {
			return now, err
		}
		if err := pause(ctx, sampling, w.servers()); err != nil {
			return now, err
		}
	}
}

// complete holds the whole run's events against the connections that there were.
func (b *invariants) complete(s sight, good int) {
	upgraded, closed := s.metrics["upgraded_total"], s.metrics.sum("closed_total")
	opens, closes := told(s.app)
	if float64(opens) != upgraded || float64(closes) != upgraded || closed != upgraded {
		b.say("%s connections were upgraded, %s have ended; the app was told of %d opened and %d closed",
			report.Count(upgraded), report.Count(closed), opens, closes)
	}
	if g := s.app.Groups[goodGroup]; g.Open != uint64(good) || g.Close != uint64(good) {
		b.say("%d good clients gave %d open and %d close events", good, g.Open, g.Close)
	}
}

func repeats(s sight) (n uint64) {
	for _, g := range s.app.Groups {
		n += g.Repeats
	}
	return n
}

func mebibytes(n uint64) string { return report.Number(float64(n) / (1 << 20)) }
