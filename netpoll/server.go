package netpoll

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"
)

// Config of a Server. Zero values mean the defaults named beside them.
type Config struct {
	Handler Handler // required

	Loops             int           // event loops; 0: one for each processor (GOMAXPROCS), at most MaxLoops
	Path              string        // the client path; default "/ws"; "/ws/" is accepted beside "/ws"
	MaxHeaderBytes    int           // of a request head; default 32 KiB
	HandshakeTimeout  time.Duration // for a whole request head; default 10 s
	MaxMessageSize    int64         // bytes of a message; default 1 MiB
	MaxAssemblyMemory int64         // bytes of messages that have arrived in part, whole process; default 256 MiB
	MaxPendingBytes   int           // bytes that wait for one connection; default 1 MiB
	WriteTimeout      time.Duration // in which some of these must leave; default 30 s
	CloseTimeout      time.Duration // from our close frame to the end of TCP; default 5 s

	// HandOff decides about a request whose path is not the client path: true
	// gives the connection to the Listener of Server.HandedOff, false answers
	// 403. It runs on a loop and must not block. nil answers 404 to all.
	HandOff func(peer netip.AddrPort, path []byte) bool

	Log zerolog.Logger
}

// Server owns the listeners and the loops.
type Server struct{ _ Config }

// New checks cfg and creates the loops, which wait until Start.
func New(cfg Config) (*Server, error) { panic("BUG: seam") }

// Listen binds a TCP address such as ":40010" (IPv4 and IPv6) or
// "127.0.0.1:0". Connections are accepted from Start on.
func (s *Server) Listen(addr string) (net.Addr, error) { panic("BUG: seam") }

// Start runs the loops and begins to accept.
func (s *Server) Start() error { panic("BUG: seam") }

// StopAccepting closes the listeners. Connections go on.
func (s *Server) StopAccepting() { panic("BUG: seam") }

// Stop ends all connections that are left (with a close frame where that can
// still be sent), then the loops, and returns when their goroutines are gone or
// with ctx's error. It implies StopAccepting.
func (s *Server) Stop(ctx context.Context) error { panic("BUG: seam") }

// HandedOff is the listener that yields the connections that HandOff let
// through, their bytes unread. It ends with Stop.
func (s *Server) HandedOff() net.Listener { panic("BUG: seam") }

// Loops returns the loops, by index.
func (s *Server) Loops() []*Loop { panic("BUG: seam") }

// SetPressure stops the reading of all connections, or lets it go on. It may be
// called from any goroutine.
func (s *Server) SetPressure(on bool) { panic("BUG: seam") }

// Stats returns the counters of all loops, added up. It disturbs no loop.
func (s *Server) Stats() Stats { panic("BUG: seam") }

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Accepted        uint64 // connections taken from the listeners
	AcceptErrors    uint64 // accept failures, descriptor limit included
	HandshakeErrors uint64 // requests answered with 4xx by this package
	HandshakeExpiry uint64 // heads that did not arrive in time
	HandedOff       uint64 // connections given to HandedOff
	Upgraded        uint64
	Refused         uint64 // by the Handler's verdict
	Closed          [Causes]uint64

	FramesIn, MessagesIn, BytesIn     uint64 // BytesIn: socket bytes, heads included
	FramesOut, WritesOut, BytesOut    uint64 // frames queued, write calls, bytes that the kernel took
	Pauses                            uint64
	Turns                             uint64 // of the loops
	Descriptors, Open, Handshaking    int64  // gauges: connection descriptors; open; head not complete
	Closing, Paused                   int64  // gauges: close handshake under way; reading stopped
	PendingBytes, AssemblyBytes, Post int64  // gauges: outboxes; messages in part; tasks in mailboxes
}

// Loop is one event loop.
type Loop struct{}

// Index is the loop's place in Server.Loops.
func (l *Loop) Index() int { panic("BUG: seam") }

// Now is the current tick: seconds since the server's start. Loop goroutine only.
func (l *Loop) Now() uint32 { panic("BUG: seam") }

// Post runs task on the loop's goroutine. Tasks run in the order of posting; a
// task that returns true has more to do, is called again after other events had
// their turn, and holds back those behind it. Post may be called from any
// goroutine but a loop's; it waits while the mailbox is full (16,384 tasks) and
// returns ErrStopped once the loop has ended.
func (l *Loop) Post(task func(*Loop) (more bool)) error { panic("BUG: seam") }

// Lookup returns the open connection that id names, or nil. Loop goroutine only.
func (l *Loop) Lookup(id ID) *Conn { panic("BUG: seam") }

// Slots is the number of slots ever used: every open connection's slot is below
// it. Loop goroutine only.
func (l *Loop) Slots() uint32 { panic("BUG: seam") }

// At returns the open connection in slot, or nil. Loop goroutine only.
func (l *Loop) At(slot uint32) *Conn { panic("BUG: seam") }

// Conn is one connection. Its methods are for its loop's goroutine only.
type Conn struct{ _ int }

// ID names the connection.
func (c *Conn) ID() ID { panic("BUG: seam") }

// Loop is the loop that owns the connection.
func (c *Conn) Loop() *Loop { panic("BUG: seam") }

// Send queues a frame; it is written at the latest when the current turn of the
// loop ends. It returns false where the frame was not taken: the connection is
// no longer open, or MaxPendingBytes would be exceeded, in which case it has
// been closed as a SlowConsumer.
func (c *Conn) Send(f *Frame) bool { panic("BUG: seam") }

// Reply is Send for a message that is built for this connection alone; payload
// is copied.
func (c *Conn) Reply(op ws.OpCode, payload []byte) bool { panic("BUG: seam") }

// Close ends the connection: the Handler's Closed is called before Close
// returns, then the close frame goes out and the close handshake takes its
// course. Reason is cut at a rune boundary to 123 bytes. Closing a connection that is no longer
// open does nothing.
func (c *Conn) Close(cause Cause, code ws.StatusCode, reason string) { panic("BUG: seam") }

// Pause stops reading from the connection, also of what lies in the read buffer
// already.
func (c *Conn) Pause() { panic("BUG: seam") }

// Resume undoes Pause; Handler.Resumed is called before anything else is
// delivered.
func (c *Conn) Resume() { panic("BUG: seam") }

// Paused reports whether reading is stopped, by Pause or by pressure.
func (c *Conn) Paused() bool { panic("BUG: seam") }
