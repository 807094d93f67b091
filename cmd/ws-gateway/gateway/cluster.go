package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster"
	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/natsbus"
	clusterjournal "ws-gateway/cluster/journal"
	"ws-gateway/cluster/packet"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/finding"
)

// overNATS is the bus of --cluster. Nobody waits until NATS is reached.
func (g *Gateway) overNATS(instance [8]byte) (bus.Bus, error) {
	nc := g.cfg.NATS()
	nc.Instance, nc.Log = instance, g.log
	b, err := natsbus.New(nc)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// FindNATS connects to NATS as the gateway would, and looks for JetStream if it needs that.
func FindNATS(c *config.Config) []finding.Finding {
	const name = "cluster"
	nc := c.NATS()
	nc.Instance = [8]byte{1} // nobody hears of it
	server, err := nc.Reach()
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		return []finding.Finding{finding.New(name, finding.Warn, fmt.Sprintf("NATS does not let this gateway use a subject: %v", err),
			fmt.Sprintf("allow its user to publish and subscribe to wsg.%s.>; until then the gateway serves its own clients alone", c.ClusterApp))}
	case err != nil:
		return []finding.Finding{finding.New(name, finding.Warn, fmt.Sprintf("NATS cannot be reached yet: %v", err),
			"start NATS, or correct --cluster and what shows NATS who this is; until then the gateway serves its own clients alone")}
	}
	found := []finding.Finding{finding.New(name, finding.OK, "NATS is reached at "+server, "")}
	if c.ClusterJournal && c.Callback != "" {
		found = append(found, findJetStream(&nc))
	}
	return found
}

// jetStreamTimeout bounds all that JetStream is asked.
const jetStreamTimeout = 3 * time.Second

// findJetStream asks JetStream what the journal of the cluster asks it, and changes nothing.
func findJetStream(nc *natsbus.Config) finding.Finding {
	const name = "cluster-journal"
	const until = "; until then no other gateway sends the close events of this one's connections if it is gone"
	err := tryJetStream(nc)
	message := fmt.Sprintf("the cluster's journal cannot be used yet: %v", err)
	switch {
	case err == nil:
		return finding.New(name, finding.OK, "JetStream is there and may be used", "")
	case errors.Is(err, nats.ErrPermissionViolation):
		return finding.New(name, finding.Warn, message, "allow this gateway's user to "+journalNeeds(nc.App)+until)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return finding.New(name, finding.Warn, message, "enable JetStream in NATS, and for this gateway's account"+until)
	}
	return finding.New(name, finding.Warn, message, "see whether JetStream is well, with room on its disk and, if NATS has several servers, most of them running"+until)
}

// tryJetStream returns why JetStream cannot be used for the journal of the cluster.
func tryJetStream(nc *natsbus.Config) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), jetStreamTimeout, errors.New("JetStream does not answer"))
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	conn, err := dialForJournal(nc, nats.RetryOnFailedConnect(false), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { // what is not permitted is not answered
			if errors.Is(err, nats.ErrPermissionViolation) {
				refuse(err)
			}
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := clusterjournal.Try(ctx, conn, nc.App); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// run is this run's number among the instances: the hub's, unless that is an earlier run's,
// whose sessions it takes in. To the others each run is an instance of its own, so nothing
// that they have of an earlier one, or have been told of its end, is taken for this one's.
func (g *Gateway) run() [8]byte {
	if g.sessions != nil && g.sessions.run != ([8]byte{}) {
		return g.sessions.run
	}
	return g.hub.Instance()
}

// join makes the gateway one of several.
func (g *Gateway) join() error {
	b, err := g.reach(g.run())
	if err != nil {
		return err
	}
	cc := g.cfg.ClusterConfig()
	cc.Hub, cc.Bus, cc.Instance, cc.Makes, cc.Log = g.hub, b, packet.Instance(g.run()), packet.Instance(g.hub.Instance()), g.log
	cc.Names = g.names
	cc.Sessions = g.sockets
	if cc.Relays = g.limits.Relays(g.cfg.ClusterRelays); cc.Relays == 0 {
		cc.Relays = -1
	}
	cc.Loops = func() (n int, lag time.Duration) {
		return len(g.sockets.Loops()), time.Duration(g.hub.Stats().WheelLag) * time.Second
	}
	cc.Draining, cc.Returns = g.hub.Draining, g.returns
	if g.cluster, err = cluster.New(cc); err != nil {
		b.Close()
	}
	return err
}

// ready is admin.Config.Ready.
func (g *Gateway) ready(c *config.Config) (ok bool, why string) {
	ok, why = g.hub.Ready()
	switch {
	case !ok || !c.ClusterRequired || g.cluster == nil:
		return ok, why
	case !g.cluster.Up():
		return false, "NATS is not reached, or does not let this gateway use its subjects"
	case !g.cluster.Whole():
		return false, "it is not known yet which other gateways there are"
	}
	return true, ""
}
