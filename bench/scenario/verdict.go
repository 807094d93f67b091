package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/report"
)

// row makes the phase's row.
func (p *phaseRun) row(broken invariants) report.Round {
	o := outcome{broken: broken, notes: p.notes()}
	conns := 0
	for _, a := range p.phase.attacks {
		conns += a.conns
	}
	o.column("abusers", "abusing connections", "", float64(conns))
	p.addGood(&o)
	p.addCosts(&o)
	o.column("RSS MiB", "gateway resident, at the end", "MiB", mebi(p.during.Memory.Resident))
	o.add("gateway resident, highest", "MiB", mebi(max(p.highest, p.during.Memory.VmRSS)))
	o.column("fds", "gateway descriptors, at the end", "", float64(p.during.Descriptors))
	o.add("until rid of the attackers", "s", p.after.at.Sub(p.during.at).Seconds())
	if p.phase.push {
		o.add("send API, slowest call", "ms", float64(p.slowest)/float64(time.Millisecond))
	}
	h := host(p.load, p.after.machine.Sub(p.before.machine), p.measured())
	return o.row("abuse", p.phase.name, 1, h)
}

// addGood reports what the good clients saw.
func (p *phaseRun) addGood(o *outcome) {
	r := p.traffic
	o.column("replies", "replies to good clients", "", float64(r.Messages))
	o.column("wrong", "replies wrong or lost, good connections broken", "", float64(r.Failures))
	o.column("p50 ms", "latency p50", "ms", r.Percentile(50))
	o.column("p99", "latency p99", "ms", r.Percentile(99))
	o.column("p99.9", "latency p99.9", "ms", r.Percentile(99.9))
	o.column("max", "latency max", "ms", r.Percentile(100))
	o.column("waited %", "good clients waited for a processor", "%", 100*r.Waited)
}

// measured is the processor time of all processes that belong to the abuse.
func (p *phaseRun) measured() time.Duration {
	a, b := p.before, p.after
	return b.CPU - a.CPU + b.appCPU - a.appCPU + b.own - a.own + p.cpu
}

// addCosts reports who used the processors. The attackers' share is of the time
// in which there were any.
func (p *phaseRun) addCosts(o *outcome) {
	a, b := p.before, p.during
	elapsed := b.at.Sub(a.at)
	share := func(cpu, of time.Duration) float64 { return 100 * cpu.Seconds() / of.Seconds() }
	o.column("gw CPU %", "gateway CPU, of one processor", "%", share(b.CPU-a.CPU, elapsed))
	o.column("abusers %", "attackers' CPU, of one processor", "%", share(p.cpu, elapsed))
	o.column("app %", "app CPU, of one processor", "%", share(b.appCPU-a.appCPU, elapsed))
	o.add("good clients' CPU, of one processor", "%", share(b.own-a.own, elapsed))
	whole := p.after.at.Sub(a.at)
	o.column("others %", "others' CPU, of one processor", "%", max(0, share(p.after.machine.Sub(a.machine).Busy-p.measured(), whole)))
}

// reactions are the metrics that say what the gateway did to attackers.
var reactions = []string{"upgraded_total", "handshake_errors_total", "handshake_timeouts_total", "accept_errors_total", "read_pauses_total", "callback_retries_total"}

// notes say what the gateway did, and what the attackers did and saw.
func (p *phaseRun) notes() []string {
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
	if n := strangers(p.after) - strangers(p.before); n > 0 {
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

// strangers is how many messages of attackers the app has got.
func strangers(s sample) uint64 { return total(s.app).Message - s.app.Groups[goodGroup].Message }

// broken says what must hold and did not.
func (p *phaseRun) broken() invariants {
	var b invariants
	b.goodTraffic(p.traffic)
	b.events(p.before, p.after, p.good)
	if p.remaining != "" {
		b.say("%v after the attackers had gone there were still: %s", settling, p.remaining)
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
