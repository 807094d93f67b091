package natsbus

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
)

// tellings is what the client has told, and what of it the log has been told.
type tellings struct {
	linked bool        // a server has taken the client and its subjects
	denied atomic.Bool // a server has taken the client, but not its subjects

	toldAway, toldDenied bool // since the link came up
	toldOver             bool // likewise

	mu    sync.Mutex // guards following
	wrong complaints // since then
}

// unheard reports whether a complaint is new since the link came up, and to be logged.
func (t *tellings) unheard(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrong.new(err)
}

// forget is for when the link comes up.
func (t *tellings) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = nil
}

// complaints are what servers have complained of.
type complaints map[string]struct{}

// mostComplaints is how many of them are logged.
const mostComplaints = 16

// new reports whether a complaint is to be logged: if it is one at all, and not a write that
// finds the connection lost, which is told by itself.
func (c *complaints) new(err error) bool {
	if plain(err) {
		return false
	}
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
func (b *Bus) up(c *client) {
	<-c.ready
	conn := c.conn
	err := b.cfg.trySubjects(conn, dialTimeout)
	if !conn.IsConnected() {
		return // it is called again, or by another client
	}
	b.toldAway = false
	b.forget()
	switch {
	case errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
		b.deny() // the client calls complained next, with each subject
		return
	case errors.As(err, new(smallError)):
		b.deny()
		b.tellDenied(err, fmt.Sprintf("NATS takes only short messages: calls are about the connections of this gateway alone until its max_payload is %d at the least; it is tried every %v", minPacket, deniedWait))
		return
	}
	b.links.Add(1)
	b.largest.Store(conn.MaxPayload())
	b.linked, b.toldDenied, b.toldOver = true, false, false
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

// over is called when a client has ended for good, with the reason, or could not be made.
func (b *Bus) over(err error) {
	b.unlink()
	b.denied.Store(false)
	select {
	case <-b.closing: // it is we who have closed it
		return
	default:
	}
	switch {
	case errors.Is(err, errReplaced):
		b.cfg.Log.Info().Msg("the user's key for NATS has been replaced: a new client has the new one")
	case errors.As(err, new(*FileError)):
		b.tellDenied(err, "a file for NATS cannot be used: calls are about the connections of this gateway alone until it can; it is tried on and on")
	case !b.toldOver:
		b.toldOver, b.toldAway = true, true
		b.cfg.Log.Error().Str("error", oneLine(fmt.Sprint(err))).Strs("servers", b.servers()).
			Msg("NATS has ended the connection and would not have its client back: calls are about the connections of this gateway alone until a new client is connected; " + advice(err))
	}
}

// advice says what to do about what has ended a client.
func advice(err error) string {
	text := strings.ToLower(fmt.Sprint(err))
	switch {
	case strings.Contains(text, "maximum payload"):
		return "it learns NATS's max_payload, which has been lowered, and messages are sent in shorter pieces"
	case strings.Contains(text, "maximum control line"):
		return "is NATS's max_control_line less than its default, 4096? Raise it"
	}
	return "it is tried on and on; if this comes again, look at NATS's log"
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

// reconnect does so a while after each denial. Meanwhile it looks why the link is down.
func (b *Bus) reconnect() {
	look := time.NewTicker(whyEvery)
	defer look.Stop()
	for {
		select {
		case <-b.denials:
		case <-look.C:
			b.lookWhy()
			continue
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

// lookWhy looks why a server that is there does not take the client: no callback says it of
// a certificate, for example.
func (b *Bus) lookWhy() {
	conn := b.conn.Load()
	if up, _ := b.out.state(); up || conn == nil || conn.IsConnected() || conn.IsClosed() {
		return
	}
	if err := conn.LastError(); err != nil {
		b.tellWhy(err)
	}
}

// tellWhy logs a reason that is not the one that was logged when the link was lost.
func (b *Bus) tellWhy(err error) {
	if b.unheard(err) {
		b.cfg.Log.Warn().Str("error", oneLine(err.Error())).Strs("servers", b.servers()).
			Msg("NATS cannot be connected to: mend what error says, without a restart; it is tried on and on")
	}
}

// tellAway logs the first failure.
func (b *Bus) tellAway(err error) {
	if b.toldAway {
		b.tellWhy(err)
		return
	}
	b.toldAway = true
	b.unheard(err) // it is told here
	b.cfg.Log.Warn().AnErr("error", err).Strs("servers", b.servers()).
		Msg("NATS is not reached: calls are about the connections of this gateway alone until it is; it is tried on and on")
}

// servers are the URLs of the servers, for the log.
func (b *Bus) servers() (redacted []string) {
	for _, server := range b.cfg.Servers {
		redacted = append(redacted, Redacted(server))
	}
	return redacted
}

// tellDenied logs the first reason why a server cannot be used.
func (b *Bus) tellDenied(err error, what string) {
	if b.toldDenied {
		return
	}
	b.toldDenied = true
	b.cfg.Log.Error().Str("error", oneLine(err.Error())).Msg(what)
}

// complained is called for what a server does not like, and for packets that had no room.
func (b *Bus) complained(err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		b.slow.Add(1)
		return
	case errors.Is(err, errReplaced): // there will be another client
		return
	case errors.Is(err, nats.ErrPermissionViolation) && (b.denied.Load() || b.needs(err.Error())):
		b.deny()
		b.tellDenied(err, fmt.Sprintf("NATS does not let this gateway use a subject: calls are about the connections of this gateway alone until its user may publish and subscribe to %s>; it is tried every %v", b.prefix, deniedWait))
		return
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded): // all that there are, are needed
		b.deny()
		b.tellDenied(err, fmt.Sprintf("NATS does not let this gateway subscribe to all that it needs: calls are about the connections of this gateway alone until it may have %d subscriptions; it is tried every %v", len(b.cfg.heardOn()), deniedWait))
		return
	}
	if b.unheard(err) {
		b.wrong.log(b.cfg.Log, err, "this gateway", "publish and subscribe to "+b.prefix+">")
	}
}

// needs reports whether a server's complaint is about a subject on which this instance
// hears the others, or they hear of it. Only its text says so.
func (b *Bus) needs(complaint string) bool {
	return strings.Contains(complaint, strconv.Quote(b.prefix+heartbeats)) || strings.Contains(complaint, strconv.Quote(b.mine+">"))
}

// plain reports whether an error says no more than that a connection is lost or not to be had.
func plain(err error) bool {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return true
	case errors.Is(err, nats.ErrTLS): // such as a server that ends the connection after it
		return false
	}
	for _, lost := range []error{net.ErrClosed, io.EOF, io.ErrUnexpectedEOF, nats.ErrStaleConnection, nats.ErrNoServers, nats.ErrConnectionClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return errors.As(err, new(*net.OpError)) && errors.As(err, new(syscall.Errno))
}

// oneLine keeps a log line one line.
func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") }
