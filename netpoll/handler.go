package netpoll

import (
	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// Handler is told what happens to connections. Its methods run on the goroutine
// of the connection's loop and must not block: no I/O, no lock that a slow party
// may hold. Slices passed to it are valid until the method returns.
//
// For each connection: Upgrade once; if it accepts, any number of Frame, Message
// and Resumed; Closed exactly once, after which no method names it again.
type Handler interface {
	// Upgrade decides about an opening handshake, which is valid. If it accepts,
	// the connection is open as soon as Upgrade has returned. Upgrade itself must
	// not send to c, pause or close it; a task that it posts may.
	Upgrade(c *Conn, r *wire.Request) Verdict

	// Frame reports that a frame has arrived: its header for a data frame (which
	// may be a fragment), the whole of it for a control frame. A ping has then
	// been answered. Close frames are not reported.
	Frame(c *Conn, op ws.OpCode)

	// Message delivers a whole message, op being text (valid UTF-8) or binary.
	Message(c *Conn, op ws.OpCode, payload []byte)

	// Resumed reports that a connection is read again, which Conn.Pause or
	// Server.SetPressure had stopped.
	Resumed(c *Conn)

	// Closed reports the end of a connection: nothing is delivered from it any
	// more, and nothing can be sent to it. Its descriptor may stay open until the
	// close handshake is complete.
	Closed(c *Conn, end End)

	// Tick is called once a second, now counting seconds since the server's
	// start. It should do its work in slices: as long as it returns true, it is
	// called again with the same now, after other events have been served.
	Tick(l *Loop, now uint32) (more bool)
}

// End says how a connection ended.
type End struct {
	Cause  Cause
	Code   ws.StatusCode // 1005 when the peer's close frame had none, 1006 when there was no close frame
	Reason string        // the close frame's, valid UTF-8, at most 123 bytes
}

// Cause is why a connection ended.
type Cause uint8

const (
	PeerClosed    Cause = iota // the client sent a close frame
	Disconnected               // the transport ended or broke without one
	AppClosed                  // the app asked for it
	PingTimeout                // nothing was heard from the client in time
	SlowConsumer               // the client does not take what is sent to it
	ProtocolError              // RFC 6455 was violated (1002)
	InvalidUTF8                // a text message or close reason was not UTF-8 (1007)
	MessageTooBig              // over Config.MaxMessageSize (1009)
	OverCapacity               // a limit of the whole process was reached (1013)
	GoingAway                  // the gateway shuts down (1001)
	RateLimited                // the client sent more than it may (1008)
	HeadTooLarge               // its request head is kept, is large, and HeaderBudget was exceeded (1008)
	causes
)

var causeNames = [causes]string{
	"peer_closed", "disconnected", "app_closed", "ping_timeout", "slow_consumer", "protocol_error",
	"invalid_utf8", "message_too_big", "over_capacity", "going_away", "rate_limited", "head_too_large",
}

// Causes is how many causes there are; Cause(0) to Cause(Causes-1) are all of them.
const Causes = int(causes)

// String returns the cause's name in metrics and logs.
func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return "unknown"
}

// Initiator names the party that ended the connection: client, network, app or gateway.
func (c Cause) Initiator() string {
	switch c {
	case PeerClosed:
		return "client"
	case Disconnected:
		return "network"
	case AppClosed:
		return "app"
	default:
		return "gateway"
	}
}
