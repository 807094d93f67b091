package hubsim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Seconds, as a client is meant to ping and as the gateway's default timeout is.
const (
	interval = 30
	timeout  = 75

	measured = 2 * timeout // seconds that are timed
)

// phases deals sessions to the seconds of the ping interval at random: in the
// order of slots the wheel would read memory in its order.
func phases(sessions int) []uint8 {
	random := rand.New(rand.NewPCG(5, 6))
	all := make([]uint8, sessions)
	for i := range all {
		all[i] = uint8(random.Uint32N(interval))
	}
	return all
}

// ticking is how long ticks took, and the longest slice of any.
type ticking struct {
	ticks []time.Duration
	slice time.Duration
}

// second lets the next tick come, and times it for t unless that is nil.
func (sim *simulation) second(t *ticking) {
	sim.now++
	began := time.Now()
	last, slice := began, time.Duration(0)
	for more := true; more; {
		more = sim.loop.tick(sim.now)
		now := time.Now()
		slice, last = max(slice, now.Sub(last)), now
	}
	if t != nil {
		t.ticks, t.slice = append(t.ticks, last.Sub(began)), max(t.slice, slice)
	}
}

// ping has those of the first so many sessions ping whose turn it is.
func (sim *simulation) ping(sessions int) {
	turn := uint8(sim.now % interval)
	for slot, phase := range sim.phases[:sessions] {
		if phase == turn {
			sim.loop.ping(uint32(slot))
		}
	}
}

// tick measures the seconds of a hub in its steady state.
func (sim *simulation) tick(ctx context.Context) error {
	for range 2 * timeout {
		sim.ping(sim.sessions)
		sim.second(nil)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var t ticking
	for range measured {
		sim.ping(sim.sessions)
		sim.second(&t)
	}
	if n := sim.loop.expired; n > 0 {
		return fmt.Errorf("%d sessions that ping have timed out", n)
	}
	slices.Sort(t.ticks)
	ms := func(d time.Duration) float64 { return 1e3 * d.Seconds() }
	sim.add("wheel tick, median", "ms", ms(t.ticks[len(t.ticks)/2]))
	sim.add("wheel tick, worst", "ms", ms(t.ticks[len(t.ticks)-1]))
	sim.add("slice of a tick, worst", "ms", ms(t.slice)) // what events of the loop wait for at most
	return nil
}
