package natsbus

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// client is one client of NATS, with the subscriptions. It connects anew by itself when its
// connection is lost, but some complaints of a server end it for good: that a message or a
// line is too long, and all that its library does not know. Then the Bus makes another one.
type client struct {
	conn  *nats.Conn    // nil if it could not be made
	ready chan struct{} // closed when it has its subscriptions, or could not be made
	ended chan struct{} // closed when it has ended, and all its callbacks have returned
}

// life is for how long a client must have lived so that the next one is made as soon as the
// first.
const life = time.Minute

// connect keeps a client until the Bus is closed.
func (b *Bus) connect(options []nats.Option) {
	defer close(b.ready)
	wait := reconnectWait
	for {
		made := time.Now()
		c := b.newClient(options)
		select {
		case <-c.ended:
		case <-b.closing:
			return
		}
		if time.Since(made) > life {
			wait = reconnectWait
		}
		timer := time.NewTimer(wait + rand.N(reconnectMore))
		select {
		case <-timer.C:
		case <-b.closing:
			timer.Stop()
			return
		}
		wait = min(2*wait, deniedWait)
	}
}

// newClient makes a client, which takes as long as its first attempt to connect.
func (b *Bus) newClient(options []nats.Option) *client {
	c := &client{ready: make(chan struct{}), ended: make(chan struct{})}
	defer close(c.ready)
	over := sync.OnceFunc(func() { close(c.ended) })
	conn, err := nats.Connect(strings.Join(b.cfg.Servers, ","), append(options[:len(options):len(options)],
		nats.ConnectHandler(func(*nats.Conn) { b.up(c) }),
		nats.ReconnectHandler(func(*nats.Conn) { b.up(c) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.down(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.unreachable(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.complained(err) }),
		nats.ClosedHandler(func(conn *nats.Conn) {
			b.over(conn.LastError())
			over()
		}),
	)...)
	if err != nil { // a file that is being replaced, most likely: New has read them all
		b.over(err)
		over()
		return c
	}
	c.conn = conn
	b.conn.Store(conn)
	for _, subject := range b.cfg.heardOn() {
		if _, err := conn.ChanSubscribe(subject, b.arrived); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			b.cfg.Log.Error().Str("error", oneLine(err.Error())).Str("subject", subject).Msg("NATS cannot be used: a subscription fails")
		}
	}
	return c
}
