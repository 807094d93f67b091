package scenario

import (
	"fmt"
	"strings"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Abuse has good clients keep a steady rate of messages, round trip through
// callback and send API, while phase after phase of abuse goes by.
//
//	good clients (this process) ──▶ child: gateway ⇄ child: sink, which audits events
//	attackers (a child each)    ──▶
type Abuse struct {
	Only      []string `placeholder:"NAME" help:"Phases to hold, such as pings,churn. Default: all."`
	Quick     bool     `help:"A tenth of everything, for tests: half a minute."`
	Good      int      `default:"0" placeholder:"N" help:"Clients that behave. 0: 1000, or 100 with --quick."`
	Rate      float64  `default:"0" placeholder:"N" help:"Their messages a second. 0: two for each of them."`
	Size      int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Intensity float64  `default:"1" placeholder:"FACTOR" help:"Multiplies the attackers' rates. At 1 they leave most of two processors to the others."`
}

// plan is an Abuse with its phases.
type plan struct {
	Abuse
	limits deadlines
	phases []phase
	back   time.Duration // for memory and descriptors to return after the abuse
}

// plan fills in what is left to choose and checks the options.
func (a Abuse) plan() (p plan, err error) {
	if a.Good == 0 {
		a.Good = 1_000
		if a.Quick {
			a.Good = 100
		}
	}
	if a.Rate == 0 {
		a.Rate = 2 * float64(a.Good)
	}
	if a.Good < 1 || a.Good > MostConnections/2 || a.Rate <= 0 || a.Intensity <= 0 {
		return p, fmt.Errorf("abuse needs 1 to %d good clients, a rate and an intensity above 0", MostConnections/2)
	}
	each, scale := 8*time.Second, 1.0
	p.limits, p.back = deadlines{handshake: 3 * time.Second, ping: 5 * time.Second, write: 4 * time.Second, close: 2 * time.Second}, 30*time.Second
	if a.Quick {
		each, scale, p.back = 1500*time.Millisecond, 0.1, 10*time.Second
		p.limits = deadlines{handshake: time.Second, ping: 2 * time.Second, write: time.Second, close: 500 * time.Millisecond}
	}
	if pause := time.Duration(float64(a.Good) / a.Rate * float64(time.Second)); pause > p.limits.ping/2 {
		return p, fmt.Errorf("good clients that send only every %v would run into the ping timeout of %v", pause, p.limits.ping)
	}
	p.Abuse = a
	p.phases, err = chosen("phase", phases(p.limits, each, scale, a.Intensity), a.Only, func(p phase) string { return p.name }, ", ")
	return p, err
}

// abuseRun is abuse under way.
type abuseRun struct {
	watch
	plan
	flow  *load.Exchange
	began sample  // of the phase
	level *sample // before the first attack
}

// Cases are one, with a row for each phase, and at the end one for what is left
// behind. An error means that it could not be held, not that the gateway did wrong:
// that is in Round.Broken.
func (a Abuse) Cases(Options) ([]Case, error) {
	p, err := a.plan()
	if err != nil {
		return nil, err
	}
	m, err := load.Event(p.Size)
	return []Case{{Scenario: "abuse", Name: "phases", Gateway: true, rows: true, round: func(s *stage) { p.hold(s, m) }}}, err
}

func (p plan) hold(s *stage, m *load.Message) {
	s.show("starting")
	w := abuseRun{watch: newWatch(s, []string{"--mute", abuse.Mute}, p.limits.args()), plan: p}
	c := s.users(w.server, p.Good)
	w.flow = c.Start(load.Traffic{Message: m, Rate: p.Rate})
	ended := false
	end := func() load.Result { ended = true; return w.flow.End() }
	s.cleanup(func() {
		if !ended {
			end()
		}
	})
	w.wait(time.Second) // warming up
	w.flow.Begin()
	w.began = w.look()
	for i, one := range p.phases {
		s.show(fmt.Sprintf("phase %d of %d: %s", i+1, len(p.phases), one.name))
		within("phase "+one.name, func() { s.record(w.pass(one, i)) })
	}
	s.show("after the abuse")
	within("after the abuse", func() { s.record(w.after(c, end)) })
}

// phaseRun is all that is known of a phase when it is over.
type phaseRun struct {
	phase     phase
	good      int
	before    sample        // when the attackers came
	during    sample        // before they were stopped
	after     sample        // when the gateway was rid of them
	remaining string        // what it was not rid of in time; "" is nothing
	highest   uint64        // resident memory, of samples, in bytes
	slowest   time.Duration // send API call for a stalled reader
	attackers []abuse.Counts
	cpu       time.Duration // of the attackers
	failed    []error       // of attackers and pushes
	traffic   load.Result
	load      float64 // average at the start
}

// pass lets one phase pass.
func (w *abuseRun) pass(p phase, seed int) report.Round {
	over := phaseRun{phase: p, good: w.Good, before: w.began, load: proc.LoadAverage()}
	if w.level == nil && len(p.attacks) > 0 {
		w.level = &over.before
	}
	w.attack(&over, seed)
	over.after, over.remaining = w.settled(w.Good)
	over.traffic = w.flow.Lap()
	w.began = over.after
	return over.row(over.broken())
}

// attack holds the attackers' part of a phase.
func (w *abuseRun) attack(over *phaseRun, seed int) {
	var all []*attacker
	w.part(func() {
		for _, a := range over.phase.attacks {
			all = append(all, w.startAttacker(w.server.Addr(), a, seed+1))
		}
		w.sustain(over)
		over.during = w.look()
		for _, a := range all {
			counts, err := a.stop()
			over.attackers, over.cpu = append(over.attackers, counts), over.cpu+a.cpu
			if err != nil {
				over.failed = append(over.failed, err)
			}
		}
	})
}

const pushBytes = 256 << 10

// sustain waits while the attack goes on.
func (w *abuseRun) sustain(over *phaseRun) {
	var push []byte
	if over.phase.push {
		push = fmt.Appendf(nil, `{"payload":%q,"users":[%q]}`, strings.Repeat("x", pushBytes), abuse.UserOf(over.phase.attacks[0].kind))
	}
	for until := time.Now().Add(over.phase.duration); time.Now().Before(until); {
		w.wait(sampling)
		over.highest = max(over.highest, must(proc.MemoryOf(w.server.PID())).VmRSS)
		if push == nil {
			continue
		}
		began := time.Now()
		if err := send(w.server.Addr(), push); err != nil {
			over.failed = append(over.failed, err)
		}
		over.slowest = max(over.slowest, time.Since(began))
	}
}

// after waits for what must return, lets the good clients go too and makes the
// last row.
func (w *abuseRun) after(c *load.Client, end func() load.Result) report.Round {
	level := w.level
	if level == nil {
		level = &w.began
	}
	most, mostOpen := memoryLimit(level.Memory.Resident), level.Descriptors+descriptorMargin
	var b invariants
	began := time.Now()
	now := w.until(w.back, func(s sample) bool { return s.Memory.Resident <= most && s.Descriptors <= mostOpen })
	waited := time.Since(began)
	if now.Memory.Resident > most {
		b.say("%s MiB are resident %v after the abuse, %s before it, at most %s are allowed", mebibytes(now.Memory.Resident), w.back,
			mebibytes(level.Memory.Resident), mebibytes(most))
	}
	if now.Descriptors > mostOpen {
		b.say("%d descriptors are open %v after the abuse, %d before it, at most %d are allowed", now.Descriptors, w.back, level.Descriptors, mostOpen)
	}
	if n := now.metrics["socket_descriptors"]; n != float64(w.Good) {
		b.say("%s client sockets are open for %d good clients", report.Count(n), w.Good)
	}
	b.events(w.began, now, w.Good)
	last := phaseRun{phase: phase{name: "after"}, good: w.Good, before: w.began, during: now, load: proc.LoadAverage()}
	last.traffic = end()
	b.goodTraffic(last.traffic)
	c.Close()
	last.after, _ = w.settled(0)
	b.complete(last.after, w.Good)
	r, all := last.row(b), last.after.app
	r.Notes = append(r.Notes,
		fmt.Sprintf("before the first attack: %s MiB resident, %d descriptors; after %v: %s MiB, %d descriptors (allowed: %s MiB, %d)",
			mebibytes(level.Memory.Resident), level.Descriptors, waited.Round(10*time.Millisecond), mebibytes(now.Memory.Resident), now.Descriptors,
			mebibytes(most), mostOpen),
		fmt.Sprintf("highest ever: %s MiB resident", mebibytes(now.Memory.Peak)),
		fmt.Sprintf("in all: %s connections upgraded and ended, %s open and %s close events, %s events came again",
			report.Count(last.after.metrics["upgraded_total"]), report.Count(float64(all.Open)), report.Count(float64(all.Close)),
			report.Count(float64(total(all).Repeats))))
	return r
}

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
