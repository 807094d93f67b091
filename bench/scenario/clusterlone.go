package scenario

import (
	"context"
	"errors"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// lone compares a gateway with --cluster that has no other beside it with one without: each
// figure is measured at one, the other, the other and the one.
func (c Cluster) lone(s *stage, m *load.Message) {
	server := s.self("NATS server", "nats-server")
	without := s.lonely()
	with := s.lonely(clusterArgs(server, 0)...)
	s.show("waiting for the gateway to know that it is alone")
	until(s, restTimeout, sampling, func() metrics { return scraped(with.gateway) }, func(seen metrics) bool { return seen["cluster_whole"] == 1 }, with.gateway)
	both := [2]*lonely{without, with}
	for _, i := range []int{0, 1, 1, 0} {
		l := both[i]
		s.part(func() { l.openings(s, c.Conns) })
		s.part(func() { l.exchange(s, c, m) })
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

	opened, sent, tripped uint64
	opening               time.Duration
	opens, sends, trips   cost
}

func (s *stage) lonely(args ...string) *lonely {
	gateway, app := s.around(nil, append(args, patient...))
	return &lonely{gateway: gateway, app: app}
}

// openings has clients come in, all but at once, and leave, ten times.
func (l *lonely) openings(s *stage, conns int) {
	h := must(load.NewHerd(load.HerdConfig{Target: l.gateway.Addr(), Conns: conns, First: herdNumbering, Header: named("herd-", 0), Window: gatherWindow}))
	s.cleanup(h.Close)
	for n := range 11 {
		s.show("opening connections")
		ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
		began := time.Now()
		used := costing([]*child.Process{l.gateway}, func() { must(h.Gather(ctx, 0)) })[0]
		if n > 0 { // the first is not like the others
			l.opening += time.Since(began)
			l.opens.add(used)
			l.opened += uint64(conns)
		}
		must(h.Leave(ctx))
		cancel()
	}
}

// exchange has calls made, and then messages go to the app and back.
func (l *lonely) exchange(s *stage, c Cluster, m *load.Message) {
	client := s.users(l.gateway, c.Conns)
	var groups []load.Group
	for i := range c.Conns {
		groups = append(groups, load.Group{First: i, Count: 1, To: usersMember(i, 1)})
	}
	s.show("sends")
	x := must(client.Push(load.Calls{API: l.gateway.Addr(), Message: m, Groups: groups, Callers: c.Callers}))
	r, used := window(s, x, c.Window, l.gateway)
	l.sends.add(used[0])
	l.sent += r.Calls
	trips, used := s.traffic(client, Traffic{Size: c.Size, Window: c.Window}, m, l.gateway)
	l.trips.add(used[0])
	l.tripped += trips.Messages
	if r.Calls == 0 || trips.Messages == 0 {
		check(errors.New("nothing came back"))
	}
}
