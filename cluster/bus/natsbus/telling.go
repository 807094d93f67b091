package natsbus

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"ws-gateway/cluster/bus"
)

// tellings is what the log has been told.
type tellings struct {
	away  bool                // that no server is reached
	wrong map[string]struct{} // what servers complain of, since the link came up
}

// mostWrong is how many complaints are logged for a link.
const mostWrong = 16

// up is called when a server has taken the client. The link is up once it has taken its
// subscriptions, too.
func (b *Bus) up() {
	<-b.ready
	conn := b.conn.Load()
	conn.FlushTimeout(dialTimeout)
	if !conn.IsConnected() {
		return // it is called again
	}
	b.links.Add(1)
	b.away, b.wrong = false, nil
	b.out.setUp(true)
	b.cfg.Log.Info().Str("server", Redacted(conn.ConnectedUrl())).Str("app", b.cfg.App).Msg("connected to NATS")
	b.queue.Put(bus.Event{Kind: bus.Up})
}

func (b *Bus) down(err error) {
	b.refused.Add(uint64(b.out.setUp(false)))
	b.queue.Put(bus.Event{Kind: bus.Down})
	if conn := b.conn.Load(); conn == nil || !conn.IsClosed() {
		b.tellAway(err)
	}
}

// unreachable is called for each attempt to connect that fails.
func (b *Bus) unreachable(err error) { b.tellAway(err) }

// tellAway logs the first failure.
func (b *Bus) tellAway(err error) {
	if b.away {
		return
	}
	b.away = true
	servers := make([]string, len(b.cfg.Servers))
	for i, server := range b.cfg.Servers {
		servers[i] = Redacted(server)
	}
	b.cfg.Log.Warn().AnErr("error", err).Strs("servers", servers).
		Msg("NATS is not reached: calls are about the connections of this gateway alone until it is; it is tried on and on")
}

// complained is called for what a server does not like, and for packets that had no room.
func (b *Bus) complained(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		b.slow.Add(1)
		return
	}
	text := err.Error()
	if _, told := b.wrong[text]; told || len(b.wrong) == mostWrong {
		return
	}
	if b.wrong == nil {
		b.wrong = map[string]struct{}{}
	}
	b.wrong[text] = struct{}{}
	if errors.Is(err, nats.ErrPermissionViolation) {
		b.cfg.Log.Error().Str("error", oneLine(text)).
			Msgf("NATS does not let this gateway use a subject: allow its user to publish and subscribe to %s>", b.prefix)
		return
	}
	b.cfg.Log.Warn().Str("error", oneLine(text)).Msg("NATS complains about this gateway")
}

// oneLine keeps a log line one line.
func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") }
