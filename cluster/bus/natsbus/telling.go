package natsbus

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
)

// tellings is what the client has told, and what of it the log has been told.
type tellings struct {
	linked bool        // a server has taken the client and its subjects
	denied atomic.Bool // a server has taken the client, but not its subjects

	toldAway, toldDenied bool       // since the link came up
	wrong                complaints // since then
}

// complaints are what servers have complained of.
type complaints map[string]struct{}

// mostComplaints is how many of them are logged.
const mostComplaints = 16

// new reports whether a complaint is to be logged.
func (c *complaints) new(err error) bool {
	text := err.Error()
	if _, told := (*c)[text]; told || len(*c) == mostComplaints {
		return false
	}
	if *c == nil {
		*c = complaints{}
	}
	(*c)[text] = struct{}{}
	return true
}

func (*complaints) log(log zerolog.Logger, err error, part, allow string) {
	text := oneLine(err.Error())
	if errors.Is(err, nats.ErrPermissionViolation) {
		log.Error().Str("error", text).Msgf("NATS does not let %s use a subject: allow its user to %s", part, allow)
		return
	}
	log.Warn().Str("error", text).Msgf("NATS complains about %s", part)
}

// up is called when a server has taken the client. The link is up once it has taken its
// subjects, too.
func (b *Bus) up() {
	<-b.ready
	conn := b.conn.Load()
	err := b.cfg.trySubjects(conn, dialTimeout)
	if !conn.IsConnected() {
		return // it is called again
	}
	b.toldAway, b.wrong = false, nil
	if errors.Is(err, nats.ErrPermissionViolation) {
		b.deny() // the client calls complained next, with each subject
		return
	}
	b.links.Add(1)
	b.linked, b.toldDenied = true, false
	b.out.setUp(true)
	b.cfg.Log.Info().Str("server", Redacted(conn.ConnectedUrl())).Str("app", b.cfg.App).Msg("connected to NATS")
	b.queue.Put(bus.Event{Kind: bus.Up})
}

// down is called when the connection is lost. Without an error it is we who have closed it.
func (b *Bus) down(err error) {
	b.unlink()
	b.denied.Store(false)
	if conn := b.conn.Load(); err != nil && (conn == nil || !conn.IsClosed()) {
		b.tellAway(err)
	}
}

// unlink says that the link is down, if it was up.
func (b *Bus) unlink() {
	if !b.linked {
		return
	}
	b.linked = false
	b.refused.Add(uint64(b.out.setUp(false)))
	b.queue.Put(bus.Event{Kind: bus.Down})
}

// deny notes that a server refuses one of the subjects without which the others cannot be
// heard, or do not hear this instance: it is as if no server was reached. The client
// connects anew after a while, since what a user may do can change while it is connected.
func (b *Bus) deny() {
	b.unlink()
	if b.denied.Swap(true) {
		return
	}
	select {
	case b.denials <- struct{}{}:
	default:
	}
}

// reconnect does so a while after each denial.
func (b *Bus) reconnect() {
	for {
		select {
		case <-b.denials:
		case <-b.done:
			return
		}
		wait := time.NewTimer(deniedWait + rand.N(reconnectMore))
		select {
		case <-wait.C:
			if b.denied.Load() {
				b.conn.Load().ForceReconnect()
			}
		case <-b.done:
			wait.Stop()
			return
		}
	}
}

// unreachable is called for each attempt to connect that fails.
func (b *Bus) unreachable(err error) { b.tellAway(err) }

// tellAway logs the first failure.
func (b *Bus) tellAway(err error) {
	if b.toldAway {
		return
	}
	b.toldAway = true
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
	if errors.Is(err, nats.ErrPermissionViolation) && (b.denied.Load() || b.needs(text)) {
		b.deny()
		if !b.toldDenied {
			b.toldDenied = true
			b.cfg.Log.Error().Str("error", oneLine(text)).
				Msgf("NATS does not let this gateway use a subject: calls are about the connections of this gateway alone until its user may publish and subscribe to %s>; it is tried every %v", b.prefix, deniedWait)
		}
		return
	}
	if b.wrong.new(err) {
		b.wrong.log(b.cfg.Log, err, "this gateway", "publish and subscribe to "+b.prefix+">")
	}
}

// needs reports whether a server's complaint is about a subject on which this instance
// hears the others, or they hear of it. Only its text says so.
func (b *Bus) needs(complaint string) bool {
	return strings.Contains(complaint, strconv.Quote(b.prefix+heartbeats)) || strings.Contains(complaint, strconv.Quote(b.mine+">"))
}

// oneLine keeps a log line one line.
func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") }
