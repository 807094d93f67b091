package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"ws-gateway/bench/hubsim"
)

// Hub measures package hub with simulated sessions, in a process of its own.
func Hub(sessions int) Case {
	name := fmt.Sprintf("%s simulated sessions, without sockets", count(sessions))
	return Case{Scenario: "hub", Name: name, round: func(ctx context.Context, s stage) (outcome, error) {
		return s.hub(ctx, sessions)
	}}
}

func (s stage) hub(ctx context.Context, sessions int) (outcome, error) {
	s.show("simulating")
	text, err := exec.CommandContext(ctx, s.Servers.Self, "hub-simulation", "--sessions", strconv.Itoa(sessions)).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return outcome{}, fmt.Errorf("the simulation: %w: %s", err, failed.Stderr)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("the simulation: %w", err)
	}
	var r hubsim.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return outcome{}, fmt.Errorf("reading what the simulation found: %w", err)
	}
	return hubFigures(r), nil
}

// hubFigures puts section 4's goals beside figures for a million sessions.
func hubFigures(r hubsim.Result) outcome {
	var tick, worst, collection float64
	if r.Sessions == 1_000_000 {
		tick, worst, collection = 1, 10, 60
	}
	var o outcome
	o.add("heap, each: hub", "B", r.HubBytes)
	o.add("heap, each: hub and netpoll's Conn", "B", r.HeapBytes)
	o.addWithGoal("resident, each", "B", r.ResidentBytes, 300)
	o.addWithGoal("wheel tick, median", "ms", r.TickMs, tick)
	o.addWithGoal("wheel tick, worst", "ms", r.WorstTickMs, worst)
	o.add("slice of a tick, worst", "ms", r.WorstSliceMs)
	o.addWithGoal("full collection, CPU", "ms", r.CollectionMs, collection)
	o.add("targets of a send to one user", "µs", r.ResolveOneUs)
	o.add(fmt.Sprintf("targets of a send to %s users", count(r.Many)), "ms", r.ResolveManyMs)
	o.add("list of all", "s", r.ListSeconds)
	o.add("heap held by that list", "KiB", r.ListHeldKiB)
	o.add("enter, the collector's work included", "ns", r.EnterNs)
	o.add("leave and enter", "ns", r.MoveNs)
	o.notes = append(o.notes,
		"a simulation: the hub's sessions, users, deadlines and lists with one loop, a user for each session, and no sockets, callbacks or kernel",
		"ticks have all sessions in one wheel; the gateway has one for each loop")
	return o
}
