package natsbus

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ws-gateway/cluster/bus"
)

// client is one client of NATS, with the subscriptions. It connects anew by itself when its
// connection is lost, but some complaints of a server end it for good: that a message or a
// line is too long, and all that its library does not know. Then the Bus makes another one. So
// it does when the user's key is another one, which a client cannot learn.
type client struct {
	conn  *nats.Conn    // nil if it could not be made
	ready chan struct{} // closed when it has its subscriptions, or could not be made
	ended chan struct{} // closed when it has ended, and all its callbacks have returned

	replaced chan struct{} // closed when no server takes it any more: see nkeyOption
}

// life is for how long a client must have lived so that the next one is made as soon as the
// first.
const life = time.Minute

// connect keeps a client until the Bus is closed.
func (b *Bus) connect() {
	defer close(b.ready)
	wait := reconnectWait
	for {
		made := time.Now()
		c := b.newClient()
		select {
		case <-c.ended:
		case <-c.replaced:
			c.conn.Close()
			<-c.ended
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
func (b *Bus) newClient() *client {
	c := &client{ready: make(chan struct{}), ended: make(chan struct{}), replaced: make(chan struct{})}
	defer close(c.ready)
	over := sync.OnceFunc(func() { close(c.ended) })
	options, err := b.cfg.options(sync.OnceFunc(func() { close(c.replaced) }))
	if err != nil { // a file that is being replaced, most likely: New has read them all
		b.over(err)
		over()
		return c
	}
	conn, err := nats.Connect(strings.Join(b.cfg.Servers, ","), append(options,
		nats.ConnectHandler(func(*nats.Conn) { b.up(c) }),
		nats.ReconnectHandler(func(*nats.Conn) { b.up(c) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.down(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.unreachable(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.complained(err) }),
		nats.ClosedHandler(func(conn *nats.Conn) {
			err := conn.LastError()
			select {
			case <-c.replaced:
				err = errReplaced
			default:
			}
			b.over(err)
			over()
		}),
	)...)
	if err != nil { // likewise
		b.over(err)
		over()
		return c
	}
	if b.conn.Swap(conn) == nil && !conn.IsConnected() {
		b.queue.Put(bus.Event{Kind: bus.Down}) // nobody need wait for the first attempt any more
	}
	c.conn = conn
	for _, subject := range b.cfg.heardOn() {
		if _, err := conn.ChanSubscribe(subject, b.arrived); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			b.cfg.Log.Error().Str("error", oneLine(err.Error())).Str("subject", subject).Msg("NATS cannot be used: a subscription fails")
		}
	}
	return c
}
