package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"ws-gateway/bench/load"
)

// Group measures groups: what memberships take, with simulated sessions in a process
// of its own; what a delivery to a group costs, compared with one to all; and calls
// to many small groups, compared with calls to one connection.
type Group struct {
	Sessions int   `default:"1000000" placeholder:"N" help:"Simulated sessions, each in one group."`
	Per      []int `default:"100,1" placeholder:"N" help:"Sessions in a group; several numbers are several cases."`
	Conns    int   `default:"10000" placeholder:"N" help:"Connections: one group has all of them, and they are in many groups of 10."`
	Groups   int   `default:"10000" placeholder:"N" help:"Groups of 10; each connection is in equally many."`
	Calls    int   `default:"10" placeholder:"N" help:"Calls to all and to a group of all, at least, in each of 5 turns."`
	Callers  int   `default:"16" placeholder:"N" help:"Connections to the management API, each with one call under way."`
	Size     int   `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Window
}

// smallGroup is how many connections one of many groups has.
const smallGroup = 10

// Cases are one for each size of simulated groups, and two with sockets.
func (g Group) Cases(o Options) (cases []Case, err error) {
	t := Traffic{Size: g.Size, Window: g.Window}
	m, err := load.Event(g.Size)
	if err := firstOf(t.possible(), possible("--conns", g.Conns), err); err != nil {
		return nil, err
	}
	switch {
	case g.Calls < 1 || g.Callers < 1:
		return nil, errors.New("--calls and --callers must be at least 1")
	case g.Conns%smallGroup != 0 || g.Groups < 1 || g.Groups*smallGroup%g.Conns != 0:
		return nil, fmt.Errorf("--conns must be divisible by %d, and --groups by a %dth of them", smallGroup, smallGroup)
	case o.Threads != 1:
		return nil, errOneThread
	}
	for _, per := range g.Per {
		name := fmt.Sprintf("%s simulated memberships in groups of %s, without sockets", count(g.Sessions), count(per))
		cases = append(cases, Case{Scenario: "group", Name: name, round: func(s *stage) {
			s.simulate("group-simulation", "--sessions", strconv.Itoa(g.Sessions), "--per", strconv.Itoa(per))
			s.note("a simulation: the table and the directory of groups with one loop, and no connections")
		}})
	}
	large := groupAndAll{g.Conns, g.Calls, m}
	small := manyGroups{g.Groups, smallGroup, g.Conns, g.Callers, t, m}
	return append(cases,
		Case{Scenario: "group", Name: fmt.Sprintf("one call to a group of %s, %s B", count(g.Conns), count(g.Size)), Gateway: true, round: large.round},
		Case{Scenario: "group", Name: fmt.Sprintf("%s groups of %d, each call to one, %s B, %s callers", count(g.Groups), smallGroup, count(g.Size), count(g.Callers)), Gateway: true, round: small.round},
	), nil
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
