package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

const (
	resumeProtocol = "ws-gateway.resume.v1"
	recordMark     = "\x1e" // begins messages about a session
)

// greeting is the first message of a line.
type greeting struct {
	Resumed  bool
	ID       string
	Token    string
	Received int
}

// piece is a frame that has come.
type piece struct {
	op      ws.OpCode
	payload []byte
}

// line is one of the connections that a session goes through.
type line struct {
	conn   net.Conn
	began  time.Time // when it was dialled
	pieces chan piece
	ended  chan struct{}
}

// farewell is the code of a close frame that came in place of a greeting.
type farewell int

func (f farewell) Error() string { return fmt.Sprintf("the gateway's close frame says %d", int(f)) }

// dialLine connects through a link and reads the greeting. received counts if there is a
// token. The error of a session that the app has closed is a farewell.
func dialLine(link, user, token string, received int, within time.Duration) (l *line, g greeting, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	l = &line{began: time.Now(), pieces: make(chan piece, 64), ended: make(chan struct{})}
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"X-Bfl-User": {user}}), Protocols: []string{resumeProtocol}}
	if token != "" {
		d.Protocols = append(d.Protocols, fmt.Sprintf("%s.%s.%d", resumeProtocol, token, received))
	}
	conn, buffered, handshake, err := d.Dial(ctx, "ws://"+link+"/ws")
	if err != nil {
		return nil, g, err
	}
	l.conn = conn
	in := io.Reader(conn)
	if buffered != nil { // the greeting has come along
		in = io.MultiReader(io.LimitReader(buffered, int64(buffered.Buffered())), conn)
	}
	if g, err = greeted(conn, in, handshake, within); err != nil {
		conn.Close()
		return nil, g, err
	}
	go l.listen(in)
	return l, g, nil
}

func greeted(conn net.Conn, in io.Reader, handshake ws.Handshake, within time.Duration) (g greeting, err error) {
	if handshake.Protocol != resumeProtocol {
		return g, oddity(fmt.Sprintf("the gateway selected the subprotocol %q", handshake.Protocol))
	}
	_ = conn.SetReadDeadline(time.Now().Add(within)) // fails if the connection is gone
	op, payload, err := frame(in)
	if err != nil {
		return g, err
	}
	_ = conn.SetReadDeadline(time.Time{}) // likewise
	if op == ws.OpClose {
		code, _ := ws.ParseCloseFrameData(payload)
		return g, farewell(code)
	}
	text, ok := strings.CutPrefix(string(payload), recordMark)
	if !ok || json.Unmarshal([]byte(text), &g) != nil || g.ID == "" || g.Token == "" {
		return g, oddity(fmt.Sprintf("the gateway's greeting is %.80q", payload))
	}
	return g, nil
}

// oddity is what no network can do, but only a gateway.
type oddity string

func (o oddity) Error() string { return string(o) }

func isOdd(err error) bool {
	var o oddity
	return errors.As(err, &o)
}

// listen reads frames until the line ends.
func (l *line) listen(in io.Reader) {
	defer close(l.pieces)
	for {
		op, payload, err := frame(in)
		if err != nil {
			return
		}
		select {
		case l.pieces <- piece{op, payload}:
		case <-l.ended:
			return
		}
	}
}

// end ends the line, with a reset or without. What has come and was not taken is lost.
func (l *line) end(reset bool) {
	if tcp, ok := l.conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // fails if the connection is gone
	}
	close(l.ended)
	l.conn.Close()
	for range l.pieces {
	}
}

// mostWrite is for how long a write may wait.
const mostWrite = 5 * time.Second

// write sends a frame; payload stays as it is.
func (l *line) write(op ws.OpCode, payload []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(mostWrite)); err != nil {
		return err
	}
	return ws.WriteFrame(l.conn, ws.MaskFrame(ws.NewFrame(op, true, payload)))
}
