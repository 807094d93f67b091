package scenario

import (
	"errors"
	"net/netip"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// many has each call go to many users, who are all at the gateway that is called, and then
// at three in turn.
func (c Cluster) many(s *stage, m *load.Message) {
	server, all := s.gateways()
	watched := append(all[:len(all):len(all)], server)
	run := func(further ...netip.AddrPort) (used []cost, r load.PushResult) {
		s.part(func() {
			client := s.connect(load.Config{Target: all[0].Addr(), Further: further, Header: identity(0)}, c.Many)
			s.pause(c.Warmup, all[:]...) // the others are told of the users
			calls := load.Calls{API: all[0].Addr(), Message: m, Groups: []load.Group{{To: usersMember(0, c.Many), Count: c.Many}}, Limit: 2}
			s.calls(client, calls, all[0]) // the first ones are not like the others
			calls.Limit = c.Calls
			used = costing(watched, func() { r = s.calls(client, calls, all[0]) })
		})
		return used, r
	}
	one, together := [4]float64{}, [4]float64{}
	sum := func(to *[4]float64, used []cost, r load.PushResult) {
		if r.Messages != uint64(c.Calls*c.Many) {
			check(errors.New("not all messages were delivered"))
		}
		for i, u := range used {
			to[i] += 1e3 * u.cpu.Seconds() / float64(r.Calls)
		}
	}
	used, r := run()
	sum(&one, used, r)
	used, r = run(all[1].Addr(), all[2].Addr())
	sum(&together, used, r)
	gateways := func(of [4]float64) float64 { return of[0] + of[1] + of[2] }
	s.add("all at one: CPU of the gateways, a call", "ms", gateways(one))
	s.add("spread: CPU of the gateways, a call", "ms", gateways(together))
	s.add("spread: CPU of the one that is called", "ms", together[0])
	s.add("spread: CPU of the NATS server, a call", "ms", together[3])
	s.add("CPU of the gateways, spread against all at one", "×", gateways(together)/gateways(one))
	s.add("CPU in all, spread against all at one", "×", (gateways(together)+together[3])/(gateways(one)+one[3]))
}

// calls makes calls until their limit.
func (s *stage) calls(client *load.Client, calls load.Calls, gateway *child.Process) load.PushResult {
	x := must(client.Push(calls))
	select {
	case <-x.Done():
	case <-s.ctx.Done():
	case <-gateway.Exited():
	case <-time.After(restTimeout):
	}
	r := x.End()
	check(errors.Join(s.ctx.Err(), gateway.Alive(), r.Err()))
	return r
}
