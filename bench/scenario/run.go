package scenario

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

// Scenario is the options of one kind of measurement, which say what its cases are.
type Scenario interface{ Cases(Options) ([]Case, error) }

// Case is one row of work.
type Case struct {
	Scenario string
	Name     string // what distinguishes it from the scenario's other cases
	Gateway  bool   // it needs the gateway's binary
	round    func(s *stage)
	rows     bool // each round records rows of its own, one for each of its parts
}

// Options of the load client and the servers that all scenarios share.
type Options struct {
	Threads int  `default:"1" placeholder:"N" help:"Threads of the load client."`
	Busy    bool `help:"The load client spins instead of sleeping, so that the server never pays for waking it."`
	Loops   int  `default:"0" placeholder:"N" help:"Event loops of the server. 0: the gateway's default; for the echo server, what the load threads leave of the processors."`
}

// Env is what rounds need.
type Env struct {
	Options
	Self        string   // ws-bench itself, which is the echo server and the sink too
	Gateway     string   // the gateway's binary
	GatewayArgs []string // further arguments for it
	Profiles    string   // folder for profiles of the gateway; "" for none
	Progress    report.Progress
}

// MostConnections is what a Case may hold: each costs this process and the
// server a descriptor, of which there are often 20,000.
const MostConnections = 19_000

// possible checks numbers of connections that an option asks for.
func possible(option string, conns ...int) error {
	for _, n := range conns {
		if n < 2 || n > MostConnections {
			return fmt.Errorf("%s must be 2 to %d", option, MostConnections)
		}
	}
	return nil
}

// outcome of one round.
type outcome struct {
	figures []report.Figure
	curves  []report.Curve
	notes   []string
	broken  invariants
	server  string // of a comparison: whose turn it is
}

func (o *outcome) add(name, unit string, value float64) {
	o.figures = append(o.figures, report.Figure{Name: name, Unit: unit, Value: value})
}

// column adds a figure that has a column in the table of Rows.
func (o *outcome) column(head, name, unit string, value float64) {
	o.figures = append(o.figures, report.Figure{Head: head, Name: name, Unit: unit, Value: value})
}

// limits are the figures of a comparison, with how many times a peer's figure ours may
// be at most; 0 is no limit.
type limits map[string]float64

// compared says that figures are to be compared with those of other servers.
func (o *outcome) compared(server string, most limits) {
	o.server = server
	for i := range o.figures {
		f := &o.figures[i]
		f.Limit = most[f.Name]
		_, f.Compared = most[f.Name]
	}
}

// percentiles adds figures named after each of the percentiles, in milliseconds.
func (o *outcome) percentiles(name string, value func(p float64) float64, percentiles ...float64) {
	for _, p := range percentiles {
		at := fmt.Sprintf("p%g", p)
		if p == 100 {
			at = "max"
		}
		o.add(name+" "+at, "ms", value(p))
	}
}

func (o *outcome) note(format string, args ...any) {
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

func (o *outcome) row(scenario, name string, round int, h report.Host) report.Round {
	for i := range o.figures {
		o.figures[i].Goal = goal(scenario, name, o.figures[i].Name)
	}
	return report.Round{
		Record: "round", Scenario: scenario, Case: name, Round: round, Server: o.server, Host: h,
		Figures: o.figures, Curves: o.curves, Notes: o.notes, Broken: o.broken,
	}
}

// invariants are those that are broken.
type invariants []string

func (b *invariants) say(format string, args ...any) { *b = append(*b, fmt.Sprintf(format, args...)) }

// Run measures rounds of each case and gives them to record as they come.
func Run(ctx context.Context, env *Env, cases []Case, rounds int, record func(report.Round) error) error {
	for n := 1; n <= rounds; n++ {
		for _, c := range cases {
			s := newStage(ctx, env, fmt.Sprintf("%s %s %d", c.Scenario, c.Name, n), func(what string) {
				env.Progress.Say("round %d of %d, %s: %s: %s", n, rounds, what, c.Scenario, c.Name)
			})
			s.record = func(r report.Round) { r.Round = n; check(record(r)) }
			var h report.Host
			if err := s.perform(func() { h = hosted(func() { s.part(func() { c.round(s) }) }) }); err != nil {
				return fmt.Errorf("%s: %s: round %d: %w", c.Scenario, c.Name, n, err)
			}
			if c.rows {
				continue
			}
			if h.Others+h.Steal > disturbing {
				s.note("others kept the machine busy: time and CPU figures are worse than on a quiet one")
			}
			if err := record(s.row(c.Scenario, c.Name, n, h)); err != nil {
				return fmt.Errorf("recording a round: %w", err)
			}
		}
	}
	return nil
}

// disturbing is the share of the machine that others may use before a round's
// figures are doubtful.
const disturbing = 0.05

// hosted does f and returns how busy the machine was meanwhile.
func hosted(f func()) report.Host {
	load, machine, own := proc.LoadAverage(), must(proc.MachineUsage()), must(ownCPU())
	f()
	return host(load, must(proc.MachineUsage()).Sub(machine), must(ownCPU())-own)
}

// host is how busy the machine was, own of it by what belongs to the measurement.
func host(load float64, machine proc.Usage, own time.Duration) report.Host {
	h := report.Host{LoadAverage: load}
	if total := machine.Total().Seconds(); total > 0 {
		h.Others = max(0, (machine.Busy-own).Seconds()/total)
		h.Steal = machine.Steal.Seconds() / total
	}
	return h
}

// ownCPU is the processor time of this process and of its children that have
// ended, as those of a round have when it is over.
func ownCPU() (time.Duration, error) {
	own, err := proc.CPU(os.Getpid())
	if err != nil {
		return 0, err
	}
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		return 0, fmt.Errorf("reading the children's CPU time: %w", err)
	}
	return own + time.Duration(children.Utime.Nano()+children.Stime.Nano()), nil
}
