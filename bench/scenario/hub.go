package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"ws-gateway/bench/hubsim"
)

// Hub measures package hub with simulated sessions, in a process of its own.
type Hub struct {
	Sessions []int `default:"100000,1000000,10000000" placeholder:"N" help:"Simulated sessions; several numbers are several cases. 10,000,000 take 4 GB and two minutes for each round."`
}

// Cases are one for each number of sessions.
func (h Hub) Cases(Options) (cases []Case, err error) {
	for _, sessions := range h.Sessions {
		name := fmt.Sprintf("%s simulated sessions, without sockets", count(sessions))
		cases = append(cases, Case{Scenario: "hub", Name: name, round: func(s *stage) { s.hub(sessions) }})
	}
	return cases, nil
}

func (s *stage) hub(sessions int) {
	s.show("simulating")
	within("the simulation", func() {
		text, err := exec.CommandContext(s.ctx, s.Self, "hub-simulation", "--sessions", strconv.Itoa(sessions)).Output()
		if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		check(err)
		var r hubsim.Result
		check(json.Unmarshal(text, &r))
		s.hubFigures(r)
	})
}

func (s *stage) hubFigures(r hubsim.Result) {
	s.add("heap, each: hub", "B", r.HubBytes)
	s.add("heap, each: hub and netpoll's Conn", "B", r.HeapBytes)
	s.add("resident, each", "B", r.ResidentBytes)
	s.add("wheel tick, median", "ms", r.TickMs)
	s.add("wheel tick, worst", "ms", r.WorstTickMs)
	s.add("slice of a tick, worst", "ms", r.WorstSliceMs)
	s.add("full collection, CPU", "ms", r.CollectionMs)
	s.add("targets of a send to one user", "µs", r.ResolveOneUs)
	s.add(fmt.Sprintf("targets of a send to %s users", count(r.Many)), "ms", r.ResolveManyMs)
	s.add("list of all", "s", r.ListSeconds)
	s.add("heap held by that list", "KiB", r.ListHeldKiB)
	s.add("enter, the collector's work included", "ns", r.EnterNs)
	s.add("leave and enter", "ns", r.MoveNs)
	s.note("a simulation: the hub's sessions, users, deadlines and lists with one loop, a user for each session, and no sockets, callbacks or kernel")
	s.note("ticks have all sessions in one wheel; the gateway has one for each loop")
}
