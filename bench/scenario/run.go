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

// Case is one row of work.
type Case struct {
	Scenario string
	Name     string // what distinguishes it from the scenario's other cases
	round    func(ctx context.Context, s stage) (outcome, error)
}

// outcome of one round.
type outcome struct {
	figures []report.Figure
	curves  []report.Curve
	notes   []string
	broken  []string // what must hold and did not
}

func (o *outcome) add(name, unit string, value float64) {
	o.figures = append(o.figures, report.Figure{Name: name, Unit: unit, Value: value})
}

// addWithGoal adds a figure that should be at most goal; 0 is no goal.
func (o *outcome) addWithGoal(name, unit string, value, goal float64) {
	o.figures = append(o.figures, report.Figure{Name: name, Unit: unit, Value: value, Goal: goal})
}

// MostConnections is what a Case may hold: each costs this process and the
// server a descriptor, of which there are often 20,000.
const MostConnections = 19_000

// Env is what rounds need.
type Env struct {
	Servers  Servers
	Threads  int    // of the load client
	Busy     bool   // the load client spins
	Profiles string // folder for profiles of the gateway; "" for none
	Progress report.Progress
}

// stage is what one round of one case has to itself.
type stage struct {
	*Env
	name string // of the round, fit for a file
	show func(what string)
}

// Run measures rounds of each case and gives them to record as they come.
func Run(ctx context.Context, env *Env, cases []Case, rounds int, record func(report.Round) error) error {
	for n := 1; n <= rounds; n++ {
		for _, c := range cases {
			show := func(what string) {
				env.Progress.Say("round %d of %d, %s: %s: %s", n, rounds, what, c.Scenario, c.Name)
			}
			show("starting")
			name := fileName(fmt.Sprintf("%s %s %d", c.Scenario, c.Name, n))
			round, err := c.run(ctx, stage{env, name, show})
			if err != nil {
				return fmt.Errorf("%s: %s: round %d: %w", c.Scenario, c.Name, n, err)
			}
			round.Round = n
			if err := record(round); err != nil {
				return fmt.Errorf("recording a round: %w", err)
			}
		}
	}
	return nil
}

func (c Case) run(ctx context.Context, s stage) (report.Round, error) {
	load := proc.LoadAverage()
	machine, err := proc.MachineUsage()
	if err != nil {
		return report.Round{}, err
	}
	own, err := ownCPU()
	if err != nil {
		return report.Round{}, err
	}
	o, err := c.round(ctx, s)
	if err != nil {
		return report.Round{}, err
	}
	machineAfter, err := proc.MachineUsage()
	if err != nil {
		return report.Round{}, err
	}
	ownAfter, err := ownCPU()
	if err != nil {
		return report.Round{}, err
	}
	h := host(load, machineAfter.Sub(machine), ownAfter-own)
	if h.Others+h.Steal > disturbing {
		o.notes = append(o.notes, "others kept the machine busy: time and CPU figures are worse than on a quiet one")
	}
	return report.Round{
		Record: "round", Scenario: c.Scenario, Case: c.Name, Figures: o.figures, Curves: o.curves, Notes: o.notes, Broken: o.broken, Host: h,
	}, nil
}

// disturbing is the share of the machine that others may use before a round's
// figures are doubtful.
const disturbing = 0.05

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
