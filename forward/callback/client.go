package callback

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/exchange"
)

// restLimit is how long the rest of an answer may take once its status is here, if
// nothing else of it is wanted. Past it the connection is closed.
const restLimit = time.Second

// Client is a connection to the app and what it takes to POST on it. It writes the
// request itself, because fasthttp parses and rewrites cookies, and they must arrive as
// the client sent them. fasthttp reads the answers.
//
// It is for one goroutine at a time, except for Interrupt. The zero value needs a Target
// and a Dial.
type Client struct {
	Target *Target
	Dial   DialFunc
	TLS    *tls.Config          // nil: not secured
	Signer *Signer              // nil: nothing is signed
	Watch  *Watch               // nil: nobody watches
	Clock  func() time.Duration // the time in which the process runs; nil: the wall's clock alone

	// The last answer.
	StatusOnly   bool // of its head nothing but the status could be read
	Partial      bool // it says that the app has taken part of a batch
	Completeness Completeness

	reader  *bufio.Reader
	unasked unasked
	socket  exchange.Socket // without one if the connection is secured or has no descriptor
	unsent  bool            // what is in out goes with the next read
	wrote   error           // how it went
	carried int             // how many answers have been read, or tried to, on the connection
	answer  fasthttp.Response
	behind  int // how many answers follow the one that is read
	bare    bareHead
	out     []byte
	vectors [3][]byte
	start   []byte // of the last answer's body, if it was wanted and is excessive

	until   time.Time // deadline of the exchange
	allowed allowance // the same by Clock

	mu   sync.Mutex
	conn net.Conn // guarded by mu, because Interrupt uses it
	cut  bool     // guarded by mu: Interrupt has been called
}

// Connected reports whether there is a connection.
func (c *Client) Connected() bool { return c.conn != nil }

// Connect makes the connection. The error is a *DialError.
func (c *Client) Connect(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c.carried = 0
	conn, err := c.Dial(ctx)
	if err != nil {
		return &DialError{err}
	}
	c.unasked.of(conn, c.TLS != nil)
	c.socket.Use(conn)
	if c.TLS != nil { // which reads and writes in the ordinary way
		conn = exchange.NewConn(conn)
	}
	if c.Watch != nil {
		c.socket.Receive = c.Watch.receive
		conn = c.Watch.conn(conn)
	}
	if c.TLS != nil {
		secured := tls.Client(conn, c.TLS)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // nothing has been sent on it
			return &DialError{err}
		}
		conn = secured
		c.socket.Use(nil)
	}
	source := &patientReader{c, conn}
	if c.reader == nil {
		c.reader = bufio.NewReaderSize(source, maxHead)
	} else {
		c.reader.Reset(source)
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return nil
}

// Reused reports whether the last request went out, or was to, on a connection that had
// carried another one before.
func (c *Client) Reused() bool { return c.carried > 1 }

// Vet closes the connection if something has come on it that nobody asked for.
func (c *Client) Vet() {
	if c.conn != nil && c.unasked.has() {
		c.HangUp()
	}
}

// HangUp closes the connection, if there is one.
func (c *Client) HangUp() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // nothing is lost: answers have been read or given up
	}
}

// Reset closes the connection, if there is one, and undoes Interrupt: others can be made.
func (c *Client) Reset() {
	c.HangUp()
	c.mu.Lock()
	c.cut = false
	c.mu.Unlock()
}

// Interrupt ends the exchange that is under way and fails all that would follow, until
// Reset. Any goroutine may call it.
func (c *Client) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	if c.conn != nil {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // fails if it has been closed already
	}
}

// SetDeadline sets the deadline of the exchange that follows.
func (c *Client) SetDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return ErrInterrupted
	}
	c.until = deadline
	c.allow(time.Until(deadline))
	if err := c.conn.SetDeadline(deadline); err != nil {
		return ErrNoAnswer // it has ended already
	}
	return nil
}

// hasten gives the rest of an answer restLimit.
func (c *Client) hasten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rest := time.Now().Add(restLimit); !c.cut && rest.Before(c.until) {
		c.allow(restLimit)
		_ = c.conn.SetReadDeadline(rest) // fails if it has ended, as the read will
	}
}

// Interrupted reports whether Interrupt has been called.
func (c *Client) Interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}
