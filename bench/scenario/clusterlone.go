package scenario

import (
	"context"
	"errors"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// loneSlices is how often what is measured changes from one gateway to the other and back: what
// a shared machine takes from a process differs more from second to second than what is compared.
const loneSlices = 12

// lone compares a gateway with --cluster that has no other beside it with one without: each
// figure is measured at one, the other, the other and the one.
func (c Cluster) lone(s *stage, m *load.Message) {
	server := s.self("NATS server", "nats-server")
	without := s.lonely()
	with := s.lonely(clusterArgs(server, 0)...)
	s.show("waiting for the gateway to know that it is alone")
	until(s, restTimeout, sampling, func() metrics { return scraped(with.gateway) }, func(seen metrics) bool { return seen["cluster_whole"] == 1 }, with.gateway)
	both := [2]*lonely{without, with}
	turns := func(do func(l *lonely)) {
		for _, i := range []int{0, 1, 1, 0} {
			do(both[i])
		}
	}
	s.part(func() {
		for _, l := range both {
			l.herd = must(load.NewHerd(load.HerdConfig{Target: l.gateway.Addr(), Conns: c.Conns, First: herdNumbering, Header: named("herd-", 0), Window: gatherWindow}))
			s.cleanup(l.herd.Close)
			l.open(s, c.Conns) // the first is not like the others
			l.opened, l.opening, l.opens = 0, 0, cost{}
		}
		for range loneSlices {
			turns(func(l *lonely) { l.open(s, c.Conns) })
		}
	})
	for _, l := range both {
		l.come(s, c)
	}
	slice := Window{Warmup: c.Warmup / loneSlices, Duration: 2 * c.Duration / loneSlices}
	for range loneSlices {
		turns(func(l *lonely) { l.exchange(s, c, m, slice) })
	}
	rate := func(l *lonely) float64 { return float64(l.opened) / l.opening.Seconds() }
	s.add("without --cluster: openings", "1/s", rate(without))
	s.add("with: openings", "1/s", rate(with))
	s.add("openings a second, without against with", "×", rate(without)/rate(with))
	for _, figure := range []struct {
		name  string
		of    func(l *lonely) float64
		ratio string
	}{
		{"CPU, a million openings", func(l *lonely) float64 { return l.opens.perMillion(l.opened) }, "CPU of an opening, with against without"},
		{"CPU, a million sends", func(l *lonely) float64 { return l.sends.perMillion(l.sent) }, "CPU of a send, with against without"},
		{"CPU, a million round trips", func(l *lonely) float64 { return l.trips.perMillion(l.tripped) }, "CPU of a round trip, with against without"},
	} {
		s.add("without --cluster: "+figure.name, "s", figure.of(without))
		s.add("with: "+figure.name, "s", figure.of(with))
		s.add(figure.ratio, "×", figure.of(with)/figure.of(without))
	}
}

// lonely is a gateway with an app, and what it has used.
type lonely struct {
	gateway *child.Process
	app     app
	client  *load.Client // once the openings are over
	herd    *load.Herd
	groups  []load.Group

	opened, sent, tripped uint64
	opening               time.Duration
	opens, sends, trips   cost
}

func (s *stage) lonely(args ...string) *lonely {
	gateway, app := s.around(nil, append(args, patient...))
	return &lonely{gateway: gateway, app: app}
}

// open has clients come in, all but at once, and leave.
func (l *lonely) open(s *stage, conns int) {
	s.show("opening connections")
	ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
	defer cancel()
	began := time.Now()
	l.opens.add(costing([]*child.Process{l.gateway}, func() { must(l.herd.Gather(ctx, 0)) })[0])
	l.opening += time.Since(began)
	l.opened += uint64(conns)
	must(l.herd.Leave(ctx))
}

// come has the users of calls and round trips come in.
func (l *lonely) come(s *stage, c Cluster) {
	l.client = s.users(l.gateway, c.Conns)
	for i := range c.Conns {
		l.groups = append(l.groups, load.Group{First: i, Count: 1, To: usersMember(i, 1)})
	}
}

// exchange has calls made, and then messages go to the app and back.
func (l *lonely) exchange(s *stage, c Cluster, m *load.Message, w Window) {
	s.show("sends")
	x := must(l.client.Push(load.Calls{API: l.gateway.Addr(), Message: m, Groups: l.groups, Callers: c.Callers}))
	r, used := window(s, x, w, l.gateway)
	l.sends.add(used[0])
	l.sent += r.Calls
	trips, used := s.traffic(l.client, Traffic{Size: c.Size, Window: w}, m, l.gateway)
	l.trips.add(used[0])
	l.tripped += trips.Messages
	if r.Calls == 0 || trips.Messages == 0 {
		check(errors.New("nothing came back"))
	}
}
