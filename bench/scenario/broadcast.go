package scenario

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/fan"
	"ws-gateway/bench/proc"
)

// broadcast measures one message after the other to all of conns connections, each
// sent when the last has arrived everywhere.
func (s stage) broadcast(ctx context.Context, start starter, conns int, warmup, duration time.Duration) (outcome, error) {
	server, err := start(ctx)
	if err != nil {
		return outcome{}, err
	}
	defer server.Stop(stopGrace)
	s.show("connecting")
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+warmup+duration)
	defer cancel()
	crowd, err := fan.Connect(ctx, server.Addr(), conns, s.Busy)
	if err != nil {
		return outcome{}, err
	}
	defer crowd.Close()

	s.show("warming up")
	if _, err := broadcasts(ctx, crowd, server, warmup); err != nil {
		return outcome{}, err
	}
	s.show("measuring")
	watched := []*child.Process{server}
	before, err := costs(watched)
	if err != nil {
		return outcome{}, err
	}
	client, err := proc.CPU(os.Getpid())
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	took, err := broadcasts(ctx, crowd, server, duration)
	if err != nil {
		return outcome{}, err
	}
	elapsed := time.Since(began)
	after, err := costs(watched)
	if err != nil {
		return outcome{}, err
	}
	clientAfter, err := proc.CPU(os.Getpid())
	if err != nil {
		return outcome{}, err
	}
	return broadcastFigures(took, conns, elapsed, after[0].cpu-before[0].cpu, clientAfter-client), nil
}

// broadcasts has them follow each other until d has passed, one at least, and
// returns how long each took.
func broadcasts(ctx context.Context, crowd *fan.Crowd, server *child.Process, d time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for began := time.Now(); len(took) == 0 || time.Since(began) < d; {
		last, err := crowd.Broadcast(ctx)
		if err != nil {
			if ended := server.Alive(); ended != nil {
				return nil, ended
			}
			return nil, fmt.Errorf("broadcast %d: %w", len(took)+1, err)
		}
		took = append(took, last)
	}
	return took, nil
}

func broadcastFigures(took []time.Duration, conns int, elapsed, cpu, client time.Duration) outcome {
	slices.Sort(took)
	deliveries := uint64(len(took) * conns)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	var o outcome
	o.add("deliveries", "1/s", float64(deliveries)/elapsed.Seconds())
	o.add("server CPU, a million deliveries", "s", cost{cpu: cpu}.perMillion(deliveries))
	o.add("last target p50", "ms", ms(took[(len(took)-1)/2]))
	o.add("last target max", "ms", ms(took[len(took)-1]))
	o.add("broadcasts", "", float64(len(took)))
	o.add("load client CPU, a million deliveries", "s", cost{cpu: client}.perMillion(deliveries))
	return o
}
