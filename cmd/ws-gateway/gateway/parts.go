package gateway

import (
	"crypto/rand"
	"net/netip"
	"slices"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

func (g *Gateway) forwardConfig(c *config.Config) forward.Config {
	fc := c.Forward()
	fc.Epoch, fc.Clock, fc.Log = g.epoch(), g.clock.Now, g.log
	if g.reach != nil {
		fc.Instance = c.InstanceName()
	}
	fc.Drained = func(key uint64) { g.hub.Resume(key) }
	fc.Pressure = func(l forward.Level) {
		g.hub.SetOverloaded(l == forward.Full)
		g.sockets.SetPressure(l >= forward.Stopped)
	}
	fc.Meta = g.meta
	if g.recovery != nil {
		fc.Journal = g.recovery.journal
	} else if g.takeover != nil {
		fc.Journal = g.takeover
	}
	if c.CallbackReply {
		fc.Reply = func(key uint64, r forward.Reply) { g.hub.Reply(key, r) }
	}
	if c.CallbackGroups {
		fc.Regroup = func(key uint64, join, leave []string) { g.hub.Regroup(key, join, leave) }
	}
	return fc
}

// epoch is forward.Config.Epoch.
func (g *Gateway) epoch() string {
	if g.sessions != nil {
		return g.sessions.epoch
	}
	return rand.Text()
}

func (g *Gateway) hubConfig(c *config.Config) hub.Config {
	hc := c.Hub(g.connectionLimit(c))
	hc.Log, hc.Meta = g.log, g.meta
	if g.names != nil {
		hc.Names = g.names
	}
	if g.sessions != nil && g.sessions.found != nil {
		hc.Origin = g.sessions.found.hub
	}
	if g.events == nil {
		return hc
	}
	authorize := g.events.Authorize
	if hc.Forwarder = g.events; g.takeover != nil {
		h := held{g.events, g.takeover, g.recordOpen}
		hc.Forwarder, authorize = h, h.Authorize
	}
	if c.Authorizes() {
		hc.Authorize = authorize
	}
	if c.CallbackReply || c.CallbackGroups || c.Authorizes() || g.meta != nil {
		hc.Settle = g.events.Settle
	}
	return hc
}

func (g *Gateway) netpollConfig(c *config.Config) netpoll.Config {
	nc := c.Netpoll(g.limits.Handshakes(c.Demand()))
	nc.Loops = g.limits.Processors.Use(c.Loops).Loops
	nc.Handler, nc.Resumer, nc.Failed, nc.Log = g.hub, g.hub, g.fail, g.log
	if g.sessions != nil && g.sessions.found != nil {
		if nc.Origin = g.sessions.found.sockets; c.Loops == 0 {
			nc.Loops = nc.Origin.Loops
		}
	}
	if g.reach != nil {
		nc.Relay = func(session []byte, turn uint32, client netip.Addr) func(*netpoll.Handshake) {
			return g.cluster.Relay(session, turn, client) // set before the loops start
		}
	}
	if c.ByteRate > 0 {
		nc.Received = g.hub.Received
	}
	if c.AdminListen == "" {
		nc.HandOff = admin.HandOff(func() bool { return g.admin.HasToken() }) // set before the loops start
	}
	return nc
}

func (g *Gateway) adminConfig(c *config.Config) admin.Config {
	ac := c.Admin()
	ac.Hub, ac.Sockets, ac.Clock, ac.Log = g.hub, g.sockets.Stats, g.clock.Now, g.log
	ac.Configuration = func() string { return g.config().Text() }
	ac.LogLost, ac.LastReload = g.process.LogLost, g.lastReload
	ac.Collectors = slices.Clip(g.collectors)
	ac.Ready = func() (bool, string) { return g.ready(c) }
	if g.cluster != nil {
		ac.Cluster, ac.ClusterStats, ac.Instances = g.cluster, g.clusterStats, g.cluster
	}
	if g.events != nil {
		ac.Callbacks, ac.Collectors = g.callbackStats, append(ac.Collectors, g.events.Collectors()...)
		ac.Health = g.events.Health
	}
	return ac
}

func (g *Gateway) callbackStats() forward.Stats {
	s := g.events.Stats()
	if g.recovery != nil {
		s.Journal = forward.JournalStats(g.recovery.journal.Stats())
	}
	return s
}
