package scenario

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
	"ws-gateway/bench/sink"
)

// watch is a gateway and an app that audits its events, both looked at again and
// again while a round goes on.
type watch struct {
	*stage
	server *child.Process
	events app
}

func newWatch(s *stage, forSink, forGateway []string) watch {
	w := watch{stage: s}
	w.server, w.events = s.around(append([]string{"--audit"}, forSink...), forGateway)
	return w
}

// sample is what is seen of both at one time.
type sample struct {
	proc.Process // the gateway
	at           time.Time
	metrics      metrics
	app          sink.Stats
	appCPU       time.Duration
	own          time.Duration
	machine      proc.Usage
}

func (w watch) look() sample {
	s := sample{at: time.Now(), metrics: scraped(w.server)}
	s.app = must(w.events.Stats())
	s.Process = must(proc.Of(w.server.PID()))
	s.appCPU, s.own = must(proc.CPU(w.events.PID())), must(proc.CPU(os.Getpid()))
	s.machine = must(proc.MachineUsage())
	return s
}

// wait waits, and ends the round if one of the two ends meanwhile.
func (w watch) wait(d time.Duration) { w.pause(d, w.server, w.events.Process) }

// settling is how long the gateway and the app may take until they know that
// connections are gone.
const settling = 20 * time.Second

func (w watch) until(patience time.Duration, right func(sample) bool) sample {
	return until(w.stage, patience, sampling, w.look, right, w.server, w.events.Process)
}

// settled waits until conns connections are left, and the app knows of everything
// that there is and was. left says what is missing.
func (w watch) settled(conns int) (now sample, left string) {
	now = w.until(settling, func(s sample) bool { return remains(s, conns) == "" })
	return now, remains(now, conns)
}

// remains says what there is beside conns connections.
func remains(now sample, conns int) string {
	var left []string
	say := func(n float64, what string) {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s %s", report.Count(n), what))
		}
	}
	say(now.metrics["connections"]-float64(conns), "connections too many")
	for _, state := range []string{"handshaking", "closing"} {
		say(now.metrics["sockets{"+state+"}"], "sockets "+state)
	}
	all := total(now.app)
	say(now.metrics["upgraded_total"]-float64(all.Open), "open events to come")
	say(now.metrics.sum("closed_total")-float64(all.Close), "close events to come")
	return strings.Join(left, ", ")
}

// total adds up what the app has seen of all groups of users.
func total(s sink.Stats) (all sink.Group) {
	for _, g := range s.Groups {
		all.Open += g.Open
		all.Message += g.Message
		all.Close += g.Close
		all.Repeats += g.Repeats
	}
	return all
}

// Groups of users in the app's audit.
const (
	goodGroup  = "user" // clients that behave, and are open all the time
	stormGroup = "storm"
	churnGroup = "churn"
	pushGroup  = "push"
	probeGroup = "probe" // clients that ping; see watchers
)

func (b *invariants) goodTraffic(r load.Result) {
	if err := r.Err(); err != nil {
		b.say("good clients: %v", err)
	}
}

// events holds what the app was told between two samples against what the gateway
// says it did; good clients are open all the time.
func (b *invariants) events(before, after sample, good int) {
	if n := after.app.Failed - before.app.Failed; n > 0 {
		b.say("the app: %d failures, the first ever: %s", n, after.app.Failure)
	}
	for _, name := range slices.Sorted(maps.Keys(after.app.Groups)) {
		g := after.app.Groups[name]
		if n := g.Faults - before.app.Groups[name].Faults; n > 0 {
			b.say("%d wrong events of users %s-…, the first ever: %s", n, name, g.Fault)
		}
	}
	b.goodOnes(after, good, 0)
	if n := after.metrics.sub(before.metrics).sum("callbacks_failed_total"); n > 0 {
		b.say("%s events were given up", report.Count(n))
	}
}

func (b *invariants) goodOnes(now sample, good, closed int) {
	if g := now.app.Groups[goodGroup]; g.Open != uint64(good) || g.Close != uint64(closed) {
		b.say("%d good clients gave %d open and %d close events", good, g.Open, g.Close)
	}
}

// complete holds the whole run's events against the connections that there were.
func (b *invariants) complete(s sample, good int) {
	upgraded, closed, all := s.metrics["upgraded_total"], s.metrics.sum("closed_total"), total(s.app)
	if float64(all.Open) != upgraded || float64(all.Close) != upgraded || closed != upgraded {
		b.say("%s connections were upgraded, %s have ended; the app was told of %d opened and %d closed",
			report.Count(upgraded), report.Count(closed), all.Open, all.Close)
	}
	b.goodOnes(s, good, good)
}

func mebibytes(n uint64) string { return report.Number(mebi(n)) }
