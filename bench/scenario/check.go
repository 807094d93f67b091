package scenario

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Check has figures that count things instead of timing them, so that they come out
// the same on a machine that others use too. What is promised of each of them, and
// the margin, is in promises.go.
//
// Reads and writes are the kernel's own count of them for the process, which has
// no recv and send, and the gateway's count of those on clients' sockets. Both are
// there everywhere, where strace would slow the server down to another behaviour
// and perf wants privileges. Where the kernel permits it, tracepoints count all
// system calls as well.
type Check struct {
	Conns  int           `default:"15000" placeholder:"N" help:"Idle connections. With fewer, what the process itself takes moves the bytes of each by more than the margin."`
	Window time.Duration `default:"2s" placeholder:"DUR" help:"Time in which messages are counted."`
}

const (
	checkConns = 500 // connections that send
	checkSize  = 64
	checkRate  = 2000 // a second, at which most of them find the gateway asleep
)

// Names of Check's cases.
const (
	idleRatios = "idle connection"
	pingRatios = "ping"
	tripRatios = "round trip"
	paceRatios = "round trip at 2,000/s"

	resumableIdleRatios = "idle connection, resumable"
	resumablePingRatios = "ping, resumable"
	resumableTripRatios = "round trip, resumable"
)

// Cases are an idle connection, a message that the gateway itself answers, and one
// that goes through the app, as often as possible and at a moderate rate. Those of
// resumable connections are beside them: their clients acknowledge after 32 messages,
// which the gateway answers.
func (k Check) Cases(Options) ([]Case, error) {
	event, err := load.Event(checkSize)
	if err := firstOf(possible("--conns", k.Conns), err); err != nil {
		return nil, err
	}
	if k.Window <= 0 {
		return nil, errors.New("--window must be above 0")
	}
	w := Window{Warmup: k.Window / 4, Duration: k.Window}
	pings := func(resume bool) func(*stage) {
		return func(s *stage) {
			s.ratios(s.gateway("", options(resume)...), resume, w, load.Traffic{Message: load.Ping()})
		}
	}
	trips := func(resume bool, t load.Traffic) func(*stage) {
		return func(s *stage) {
			gateway, _ := s.around(nil, options(resume))
			s.ratios(gateway, resume, w, t)
		}
	}
	held := func(resume bool) func(*stage) {
		return idle{server: idlePushOnly, resume: resume, conns: k.Conns, settle: 2 * time.Second}.round
	}
	one := func(name string, round func(*stage)) Case {
		return Case{Scenario: "check", Name: name, Gateway: true, round: round}
	}
	return []Case{
		one(idleRatios, held(false)),
		one(resumableIdleRatios, held(true)),
		one(pingRatios, pings(false)),
		one(resumablePingRatios, pings(true)),
		one(tripRatios, trips(false, load.Traffic{Message: event})),
		one(resumableTripRatios, trips(true, load.Traffic{Message: event})),
		one(paceRatios, trips(false, load.Traffic{Message: event, Rate: checkRate})),
	}, nil
}

// options are those of a gateway whose connections may be resumable.
func options(resume bool) []string {
	if resume {
		return resuming()
	}
	return patient
}

// ratios sends traffic and counts what the gateway does for a message.
func (s *stage) ratios(gateway *child.Process, resume bool, w Window, t load.Traffic) {
	c := s.connect(load.Config{Target: gateway.Addr(), Header: identity(0), Resume: resume}, checkConns)
	n := counters{server: gateway, metrics: func() metrics { return must(scrape(gateway.Addr())) }}
	s.cleanup(n.close)
	n.prepare()
	s.show("counting")
	x := c.Start(t)
	var before, after counted
	err := attempt(func() {
		s.pause(w.Warmup, gateway)
		before = n.read()
		x.Begin()
		s.pause(w.Duration, gateway)
		after = n.read()
	})
	r := x.End()
	check(errors.Join(err, r.Err()))
	if r.Messages == 0 {
		check(errors.New("no message came back: nothing can be said of one"))
	}
	n.figures(&s.outcome, before, after, float64(r.Messages))
	if resume {
		keeping(&s.outcome, n.metrics())
	}
}

// keeping adds what resumable connections keep for sending it again.
func keeping(o *outcome, m metrics) {
	o.add(keptFigure, "B", m["memory_used_bytes{resume}"]/checkConns)
}

// counters of one server.
type counters struct {
	server  *child.Process
	metrics func() metrics
	own     float64 // allocations of reading them once
	kernel  []*proc.Counter
}

// counted is what the counters say at one time.
type counted struct {
	calls   proc.Calls
	sleeps  uint64
	turns   float64 // of the event loops
	mallocs float64
	kernel  []uint64
}

// traced are the kernel's events that are counted if that is permitted.
var traced = []struct{ event, figure string }{
	{proc.AnySyscall, "system calls"}, // the others are among them
	{proc.EpollWait, "epoll_wait"},
	{proc.Futex, futexFigure},
}

// prepare finds out what can be counted, and what counting costs.
func (n *counters) prepare() {
	first, second := n.metrics(), n.metrics()
	n.own = second[mallocsMetric] - first[mallocsMetric]
	for _, t := range traced {
		c, err := proc.Count(n.server.PID(), t.event)
		if errors.Is(err, proc.ErrNotPermitted) {
			return
		}
		n.kernel = append(n.kernel, must(c, err))
	}
}

func (n *counters) close() {
	for _, c := range n.kernel {
		c.Close()
	}
}

func (n *counters) read() counted {
	m := n.metrics()
	c := counted{mallocs: m[mallocsMetric], turns: m["loop_turns_total"], sleeps: must(proc.Sleeps(n.server.PID()))}
	for _, k := range n.kernel {
		c.kernel = append(c.kernel, must(k.Total()))
	}
	c.calls = must(proc.CallsOf(n.server.PID())) // last: messages are counted from now on, or until now
	c.calls.Reads += uint64(m["socket_reads_total"])
	c.calls.Writes += uint64(m["socket_writes_total"])
	return c
}

const mallocsMetric = "go_memstats_mallocs_total"

func (n *counters) figures(o *outcome, before, after counted, messages float64) {
	o.add(readsFigure, "", float64(after.calls.Reads-before.calls.Reads)/messages)
	o.add(writesFigure, "", float64(after.calls.Writes-before.calls.Writes)/messages)
	if len(n.kernel) == len(traced) {
		each := make([]float64, len(traced))
		for i, t := range traced {
			each[i] = float64(after.kernel[i]-before.kernel[i]) / messages
			o.add(t.figure, "", each[i])
		}
		o.add(workFigure, "", each[0]-each[1]-each[2])
	} else {
		o.note("the kernel does not let this user count all system calls: of these, reads and writes are counted")
	}
	sleeps := float64(after.sleeps - min(before.sleeps, after.sleeps))
	o.add(sleepsFigure, "", sleeps/messages)
	o.add(turnSleepsFigure, "", sleeps/max(1, after.turns-before.turns))
	o.add(mallocsFigure, "", max(0, after.mallocs-before.mallocs-n.own)/messages)
}

// Names of figures, for one message if they do not say otherwise.
//
// A loop sleeps when it has answered all that was sent. How often that happens for a
// message says how far ahead the load client is: from 0.01 to 0.14 pings on a machine
// that others keep busy. In a turn a loop sleeps once at most, whoever else is there,
// and what is above that are threads that wake each other.
const (
	readsFigure      = "reads"
	writesFigure     = "writes"
	workFigure       = "system calls but those to wait" // without epoll_wait and futex, which depend on how busy the machine is
	futexFigure      = "futex"
	sleepsFigure     = "sleeps" // voluntary context switches of all threads
	turnSleepsFigure = "sleeps, each turn of a loop"
	mallocsFigure    = "allocations"
	keptFigure       = "kept, each connection" // until it is acknowledged
)

// Promised holds summaries of Check against the promises.
func Promised(summaries []report.Summary) []report.Promise {
	var all []report.Promise
	for _, p := range promises {
		for _, s := range summaries {
			i := slices.IndexFunc(s.Lines, func(l report.Line) bool { return s.Case == p.of && l.Name == p.figure })
			if i < 0 {
				continue
			}
			l := s.Lines[i]
			all = append(all, report.Promise{
				What: fmt.Sprintf("%s: %s", p.of, p.figure), Unit: l.Unit,
				Median: l.Median, Min: l.Min, Promised: p.promised, Most: p.promised * p.margin,
			})
		}
	}
	return all
}
