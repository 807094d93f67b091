package chaos

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// End is how a client's connection ended.
type End uint8

const (
	Never   End = iota // it was refused
	Clean              // the client's close frame was answered: all that it had sent has been read
	Reset              // by a TCP reset of the client's
	Left               // the client closed its socket without a word
	ByApp              // closed through the API
	Broken             // by something that nobody asked for
	Lost               // its client came back and could not resume it
	Unheard            // the client did not hear the answer to its handshake: there may be a connection or not
)

// Client is what is known of one connection from the client's side.
type Client struct {
	User    string
	Opened  time.Time // when it began to connect
	There   time.Time // when its handshake was answered
	End     End
	Sent    int // messages, numbered from 0
	Code    int // of the close frame, the client's or the app's
	Replies []Reply
	Heard   []Heard // of senders, in the order in which they came
	Trouble string  // of a Broken one: what happened
	Session
}

// Reply is what a client has been sent: the answer to an attempt at an event.
type Reply struct {
	Event   string `json:"re"`
	Attempt int    `json:"attempt"`
}

// patience is how long a client waits for a handshake or a close: while the app is
// down and its queue is full it is not read.
const patience = 2 * time.Minute

// visitor is a client while it lives.
type visitor struct {
	Client
	conn   *net.TCPConn
	random *rand.Rand
	cfg    *CrowdConfig
	shared bool // other connections may have its user

	read     chan struct{} // closed when nothing more comes
	seen     int           // once read is closed: the code of the gateway's close frame, 0 for none
	readFail error         // once read is closed: how reading ended without one
}

// visit opens a connection, sends numbered messages and ends it, in one of the ways
// there are. Once ctx is done it sends no more.
func visit(ctx context.Context, cfg *CrowdConfig, user string, shared bool, random *rand.Rand) Client {
	v := &visitor{Client: Client{User: user, Opened: time.Now()}, random: random, cfg: cfg, shared: shared, read: make(chan struct{})}
	in, err := v.dial()
	if refused := ws.StatusError(0); errors.As(err, &refused) && refused == http.StatusServiceUnavailable {
		return v.Client
	}
	if err != nil {
		return v.broken("handshake", err)
	}
	defer v.conn.Close()
	v.There = time.Now()
	go v.listen(in)
	cfg.Present.came(user)
	err = v.talk(ctx)
	if err == nil {
		v.stay(ctx)
	}
	cfg.Present.left(user)
	if err != nil {
		v.giveUp("sending", err)
	} else {
		v.part()
	}
	return v.Client
}

func (v *visitor) broken(doing string, err error) Client {
	v.End, v.Trouble = Broken, fmt.Sprintf("%s: %v", doing, err)
	return v.Client
}

// giveUp ends the connection for an error.
func (v *visitor) giveUp(doing string, err error) {
	v.conn.Close()
	<-v.read
	v.broken(doing, err)
}

func (v *visitor) dial() (in io.Reader, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"X-Bfl-User": {v.User}, "Cookie": {"of=" + v.User}})}
	conn, buffered, _, err := d.Dial(ctx, "ws://"+v.cfg.Gateway.String()+"/ws")
	if err != nil {
		return nil, err
	}
	v.conn = conn.(*net.TCPConn)
	if buffered != nil { // the first reply has come along
		return io.MultiReader(io.LimitReader(buffered, int64(buffered.Buffered())), conn), nil
	}
	return conn, nil
}

// listen reads frames until the gateway's close frame or the end of the connection.
func (v *visitor) listen(in io.Reader) {
	defer close(v.read)
	for {
		op, payload, err := frame(in)
		if err != nil {
			v.readFail = err
			return
		}
		switch op {
		case ws.OpClose:
			if len(payload) >= 2 {
				v.seen = int(binary.BigEndian.Uint16(payload))
			} else {
				v.seen = int(ws.StatusNoStatusRcvd)
			}
			return
		case ws.OpText, ws.OpBinary:
			if v.cfg.Present != nil {
				h, err := hear(payload)
				if err != nil {
					v.readFail = err
					return
				}
				v.Heard = append(v.Heard, h)
				continue
			}
			var r Reply
			if json.Unmarshal(payload, &r) != nil {
				r.Event = fmt.Sprintf("%.40q", payload) // the audit knows no such event
			}
			v.Replies = append(v.Replies, r)
		}
	}
}

// frame reads one frame. None that a client gets here is long.
func frame(in io.Reader) (op ws.OpCode, payload []byte, err error) {
	const longest = 1 << 20
	h, err := ws.ReadHeader(in)
	if err != nil {
		return 0, nil, err
	}
	if h.Length > longest {
		return 0, nil, fmt.Errorf("the gateway sent a frame of %d bytes", h.Length)
	}
	payload = make([]byte, h.Length)
	_, err = io.ReadFull(in, payload)
	return h.OpCode, payload, err
}

// talk sends messages: some clients in a burst, some at leisure.
func (v *visitor) talk(ctx context.Context) error {
	pace := [...]time.Duration{0, 0, 5 * time.Millisecond, 60 * time.Millisecond}[v.random.IntN(4)]
	for range v.random.IntN(30) {
		if pace > 0 {
			pass(ctx, between(v.random, 0, 2*pace))
		}
		if ctx.Err() != nil || v.cfg.settled() {
			return nil
		}
		pad := v.random.IntN(200)
		if v.random.IntN(20) == 0 {
			pad = 20_000 + v.random.IntN(40_000) // more than goes out in one write
		}
		if err := v.write(ws.NewTextFrame(fmt.Appendf(nil, `{"n":%d,"pad":%q}`, v.Sent, strings.Repeat("x", pad)))); err != nil {
			return err
		}
		v.Sent++
	}
	return nil
}

// stay keeps the connection for a while, and once the crowd has settled until ctx is done.
func (v *visitor) stay(ctx context.Context) {
	if v.cfg.Stay == 0 {
		return
	}
	timer := time.NewTimer(between(v.random, 0, v.cfg.Stay))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.read: // sooner than anybody wanted; parting finds out
	case <-v.cfg.Settle:
		select {
		case <-v.read:
		case <-ctx.Done():
		}
	}
}

func (v *visitor) write(f ws.Frame) error {
	if err := v.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return ws.WriteFrame(v.conn, ws.MaskFrameInPlace(f))
}

// part ends the connection.
func (v *visitor) part() {
	way := v.random.IntN(8)
	if v.shared && way < 4 {
		way = 7 // a call that closes it would close others too
	}
	switch way {
	case 0:
		v.End = Reset
		_ = v.conn.SetLinger(0) // fails if the connection is gone
		_ = v.conn.Close()      // likewise
		<-v.read
	case 1:
		v.End = Left
		_ = v.conn.Close() // fails if the connection is gone
		<-v.read
	case 2, 3:
		v.End, v.Code = ByApp, 4001
		if err := v.cfg.Close(v.User, v.Code); err != nil {
			v.giveUp("the close call", err)
			return
		}
		if v.await(v.Code) {
			_ = v.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(v.Code), ""))) // the gateway may not wait for it
		}
	default:
		v.End, v.Code = Clean, 1000
		if v.random.IntN(2) == 0 {
			v.Code = 4000 + v.random.IntN(1000)
		}
		if err := v.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(v.Code), "bye"))); err != nil {
			v.giveUp("the close frame", err)
			return
		}
		v.await(v.Code)
	}
}

// await waits for the gateway's close frame, which must have this code.
func (v *visitor) await(code int) (ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-v.read:
	case <-timer.C:
		v.giveUp("waiting for the close frame", fmt.Errorf("nothing came for %v", patience))
		return false
	}
	switch {
	case v.readFail != nil:
		v.broken("waiting for the close frame", v.readFail)
	case v.seen != code:
		v.broken("closing", fmt.Errorf("the gateway's close frame says %d instead of %d", v.seen, code))
	default:
		return true
	}
	return false
}
