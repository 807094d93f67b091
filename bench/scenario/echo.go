package scenario

import (
	"context"
	"fmt"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// Echo measures messages through netpoll's echo server with so many loops.
func Echo(conns int, op byte, loops int, t Traffic) (Case, error) {
	m, err := load.Bare(op, t.Size)
	if err != nil {
		return Case{}, err
	}
	name := t.describe(conns)
	if op == load.Text {
		name += ", text"
	}
	name += fmt.Sprintf(", server loops: %d", loops)
	return Case{Scenario: "echo", Name: name, round: func(ctx context.Context, s stage) (outcome, error) {
		return s.echo(ctx, conns, loops, t, m)
	}}, nil
}

// echoGoal is section 4's "≤ 1.05 × uWebSockets (12.1, 15.3)" for a million
// echoes of 64 bytes. The uWebSockets figures are from another run.
func echoGoal(conns int, t Traffic) float64 {
	if t.Size != 64 || t.Active != 0 || t.Rate != 0 {
		return 0
	}
	switch conns {
	case 1_000:
		return 12.7
	case 10_000:
		return 16.1
	default:
		return 0
	}
}

func (s stage) echo(ctx context.Context, conns, loops int, t Traffic, m *load.Message) (outcome, error) {
	return s.echoOf(ctx, func(ctx context.Context) (*child.Process, error) { return s.Servers.startEcho(ctx, loops) },
		conns, t, m, echoGoal(conns, t))
}

// echoOf measures any server that start starts; goal is for its CPU.
func (s stage) echoOf(ctx context.Context, start starter, conns int, t Traffic, m *load.Message, goal float64) (outcome, error) {
	server, err := start(ctx)
	if err != nil {
		return outcome{}, err
	}
	defer server.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: server.Addr()}, conns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()

	r, used, err := s.window(ctx, c, t, m, server)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	if r.Messages == 0 {
		o.notes = append(o.notes, "no reply arrived in the time that is measured: no figures; it is too short for this machine")
		return o, nil
	}
	o.add("messages", "1/s", r.Rate())
	o.addWithGoal("server CPU, a million", "s", used[0].perMillion(r.Messages), goal)
	o.add("server busy, of one processor", "%", 100*used[0].cpu.Seconds()/r.Elapsed.Seconds())
	o.add("server sleeps, a thousand", "", float64(used[0].switches)/float64(r.Messages)*1e3)
	o.addTraffic(r, s.Busy)
	return o, nil
}
