package scenario

import (
	"context"
	"fmt"
	"slices"

	"ws-gateway/bench/load"
)

// RoundTrip measures client → gateway → callback → app → send API → gateway →
// client, or, with reply, → the callback's answer in place of the send API.
func RoundTrip(conns int, reply bool, t Traffic) (Case, error) {
	m, err := load.Event(t.Size)
	if err != nil {
		return Case{}, err
	}
	name := t.describe(conns)
	if reply {
		name += ", reply in the callback's answer"
	}
	return Case{Scenario: "roundtrip", Name: name, round: func(ctx context.Context, s stage) (outcome, error) {
		return s.roundTrip(ctx, conns, reply, t, m)
	}}, nil
}

// roundTripGoal is section 4's "round trips through callback and send API", and
// its "round trips, reply in the callback's answer".
func roundTripGoal(conns int, reply bool, t Traffic) float64 {
	switch {
	case conns != 1_000 || t.Active != 0 || t.Rate != 0:
		return 0
	case reply:
		return 50
	default:
		return 80
	}
}

func (s stage) roundTrip(ctx context.Context, conns int, reply bool, t Traffic, m *load.Message) (outcome, error) {
	forSink, forGateway := []string(nil), slices.Clone(patient)
	if reply {
		forSink, forGateway = []string{"--reply"}, append(forGateway, "--callback-reply")
	}
	gateway, app, control, err := s.Servers.startAround(ctx, forSink, forGateway)
	if err != nil {
		return outcome{}, err
	}
	defer app.Stop(stopGrace)
	defer gateway.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, conns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	r, used, err := s.window(ctx, c, t, m, gateway, app)
	if err != nil {
		return outcome{}, err
	}
	seen, err := control.Stats()
	if err != nil {
		return outcome{}, err
	}
	if seen.Failed > 0 || seen.Open != uint64(conns) || seen.Close != 0 {
		return outcome{}, fmt.Errorf("the app saw %d open and %d close events of %d connections, and %d failures, the first: %s",
			seen.Open, seen.Close, conns, seen.Failed, seen.Failure)
	}
	var o outcome
	o.add("round trips", "1/s", r.Rate())
	o.addWithGoal("gateway CPU, a million", "s", used[0].perMillion(r.Messages), roundTripGoal(conns, reply, t))
	o.add("gateway busy, of one processor", "%", 100*used[0].cpu.Seconds()/r.Elapsed.Seconds())
	o.add("gateway sleeps, a thousand", "", float64(used[0].switches)/float64(r.Messages)*1e3)
	o.add("app CPU, a million (not the gateway's)", "s", used[1].perMillion(r.Messages))
	o.addTraffic(r, s.Busy)
	return o, nil
}
