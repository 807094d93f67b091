package gateway

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/nats-io/nats.go"

	"ws-gateway/cluster"
	"ws-gateway/cluster/bus/natsbus"
	clusterjournal "ws-gateway/cluster/journal"
	"ws-gateway/cluster/packet"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/forward"
	"ws-gateway/hub"
)

// takesOver reports whether there is a journal of the cluster.
func (g *Gateway) takesOver() bool {
	return g.cfg.ClusterJournal && g.cfg.Clustered() && g.cfg.Callback != ""
}

// newTakeover makes the journal of the cluster: others send the close events of this
// gateway's connections if it is gone, and it sends theirs.
func newTakeover(g *Gateway) *clusterjournal.Journal {
	c := g.cfg
	return clusterjournal.New(clusterjournal.Config{
		App: c.ClusterApp, DeadAfter: c.ClusterDeadAfter, Log: g.log,
		Connect: func() (*nats.Conn, error) {
			nc := c.NATS()
			nc.Instance, nc.Log = g.run(), g.log
			return dialForJournal(&nc)
		},
		Heard:  g.heard,
		Lost:   g.closeOthers,
		Again:  g.recordAgain,
		Fenced: g.fenced,
		Owner: func(id string) (packet.Instance, bool) {
			owner, ok := hub.InstanceOf(id)
			return owner, ok
		},
	})
}

// dialForJournal connects to NATS for the journal of the cluster, with further options.
func dialForJournal(nc *natsbus.Config, further ...nats.Option) (*nats.Conn, error) {
	return nc.Dial("the cluster's journal", journalNeeds(nc.App), append(further, nats.CustomInboxPrefix("wsg."+nc.App+".inbox"))...)
}

// journalNeeds is what the user of NATS must be allowed for the journal of the cluster.
func journalNeeds(app string) string {
	return fmt.Sprintf("publish and subscribe to wsg.%s.>, and to publish on %s", app, strings.Join(clusterjournal.Subjects(app), ", "))
}

// heard are the other instances that are heard.
func (g *Gateway) heard() map[packet.Instance]bool {
	heard := map[packet.Instance]bool{}
	for _, i := range g.cluster.Instances() {
		if !i.Silent || !heard[i.Makes] { // the run before may be silent
			heard[i.Makes] = !i.Silent
		}
	}
	return heard
}

// closeOthers sends the close events of another gateway's connections.
func (g *Gateway) closeOthers(ctx context.Context, lost iter.Seq[clusterjournal.Entry]) error {
	return g.events.CloseLost(ctx, forward.Gone, func(yield func(forward.Lost) bool) {
		for e := range lost {
			if !yield(forward.Lost{ID: e.ID, State: e.State, Meta: e.Meta}) {
				return
			}
		}
	})
}

// recordAgain records the open connections once more.
func (g *Gateway) recordAgain(ctx context.Context, room func(context.Context) error) error {
	return g.hub.Each(ctx, room, g.recordOpen)
}

// recordOpen records a connection of which the app has been told, with its metadata.
func (g *Gateway) recordOpen(src forward.Source) {
	g.events.Remember(src)
	g.meta.Repeat(src.Key, src.ConnID)
}

// fenced ends the process: others have sent the close events of its connections, and the
// app must hear nothing more of them.
func (g *Gateway) fenced() {
	g.log.Error().Msg("other gateways have not heard of this one for --cluster-dead-after, and have sent the close events of its connections: exiting at once, without further events")
	g.process.FlushLog()
	g.process.Exit(program.ExitFailure)
}

// held is a hub.Forwarder that holds close events back while others may be sending them, or
// could not know that they were sent.
type held struct {
	*forward.Forwarder
	journal  *clusterjournal.Journal
	remember func(src forward.Source)
}

// Close is hub.Forwarder's.
func (h held) Close(src forward.Source, end forward.End) {
	src.ConnID = bytes.Clone(src.ConnID) // the caller's
	h.journal.Ending(src.ConnID, func() { h.remember(src) })
	if !h.journal.Sure() && h.journal.HoldBack(src.ConnID, func() { h.Forwarder.Close(src, end) }) {
		return
	}
	h.Forwarder.Close(src, end)
}

// Authorize is hub.Config's. A connection that waits for its answer while the stream is lost
// is not among those that are open.
func (h held) Authorize(src forward.Source, req forward.Request, done func(forward.Answer)) {
	src.ConnID = bytes.Clone(src.ConnID) // the caller's
	before := h.journal.Losses()
	h.Forwarder.Authorize(src, req, func(a forward.Answer) {
		if a.Err == forward.Delivered && h.journal.Losses() != before {
			if a.NamesUser() {
				src.User = a.User
			}
			h.remember(src)
		}
		done(a)
	})
}

// clusterStats are those of the cluster and its journal.
func (g *Gateway) clusterStats() cluster.Stats {
	s := g.cluster.Stats()
	if g.takeover != nil {
		s.Journal = cluster.JournalStats(g.takeover.Stats())
	}
	return s
}
