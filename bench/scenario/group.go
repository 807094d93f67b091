package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
)

// Group measures groups: what memberships take, with simulated sessions in a process
// of its own.
type Group struct {
	Sessions int   `default:"1000000" placeholder:"N" help:"Simulated sessions, each in one group."`
	Per      []int `default:"100,1" placeholder:"N" help:"Sessions in a group; several numbers are several cases."`
}

// Cases are one for each size of groups.
func (g Group) Cases(Options) (cases []Case, err error) {
	for _, per := range g.Per {
		name := fmt.Sprintf("%s simulated memberships in groups of %s, without sockets", count(g.Sessions), count(per))
		cases = append(cases, Case{Scenario: "group", Name: name, round: func(s *stage) {
			s.simulate("group-simulation", "--sessions", strconv.Itoa(g.Sessions), "--per", strconv.Itoa(per))
			s.note("a simulation: the table and the directory of groups with one loop, and no connections")
		}})
	}
	return cases, nil
}

// simulate takes the figures of a round from a command of ws-bench.
func (s *stage) simulate(command ...string) {
	s.show("simulating")
	within("the simulation", func() {
		text, err := exec.CommandContext(s.ctx, s.Self, command...).Output()
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		check(err)
		check(json.Unmarshal(text, &s.figures))
	})
}
