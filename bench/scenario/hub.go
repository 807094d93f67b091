package scenario

import (
	"fmt"
	"strconv"
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
	s.simulate("hub-simulation", "--sessions", strconv.Itoa(sessions))
	s.note("a simulation: the hub's sessions, users, deadlines and lists with one loop, a user for each session, and no sockets, callbacks or kernel")
	s.note("ticks have all sessions in one wheel; the gateway has one for each loop")
}
