package netpoll

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/internal/wiretest"
	"ws-gateway/netpoll/wire"
)

// outcome is what a server made of a stream of frames.
type outcome struct {
	messages []string        // "text:…" and "binary:…"
	pongs    []string        // payloads
	code     ws.StatusCode   // of the end: the peer's, the one sent for a violation, or 1006 if the stream just ended
	reason   string          // the peer's
	answers  []ws.StatusCode // codes of the close frames that were sent
}

const streamLimit = 1 << 10 // bytes of a message

// FuzzStream decodes a stream that arrives in fuzzed pieces and compares with
// coder/websocket, which shares no code with us. It is more lenient in places, and
// there the difference is asserted exactly (strictness).
func FuzzStream(f *testing.F) {
	unmaskable := func(first byte, payload string) string { // masked with zeros, so that mutations of the text stay text
		h := ws.Header{Fin: first&0x80 != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 15), Masked: true, Length: int64(len(payload))}
		var b bytes.Buffer
		ws.WriteHeader(&b, h)
		return b.String() + payload
	}
	bye := unmaskable(0x88, "\x03\xe8bye")
	for _, seed := range []string{
		unmaskable(0x81, "hello") + unmaskable(0x82, "\x00\xff") + bye,
		unmaskable(0x01, "caf\xc3") + unmaskable(0x89, "ping") + unmaskable(0x00, "") + unmaskable(0x80, "\xa9!") + bye,
		unmaskable(0x01, "caf\xc3") + unmaskable(0x80, "") + bye,
		unmaskable(0x01, "\xf4\x90") + bye,
		unmaskable(0x82, strings.Repeat("x", 126)) + unmaskable(0x8a, "") + unmaskable(0x88, ""),
		unmaskable(0x82, strings.Repeat("x", streamLimit)) + unmaskable(0x82, strings.Repeat("x", streamLimit+1)),
		unmaskable(0x02, strings.Repeat("x", streamLimit)) + unmaskable(0x80, "y"),
		unmaskable(0x80, "nothing to continue"), unmaskable(0x01, "a") + unmaskable(0x81, "b"),
		unmaskable(0xc1, "rsv"), unmaskable(0x83, ""), unmaskable(0x09, "in pieces"), "\x81\x05hello", "\x81\xfe\x00\x05\x00\x00\x00\x00hello",
		"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
		unmaskable(0x88, "\x03"), unmaskable(0x88, "\x03\xed"), unmaskable(0x88, "\x0f\xa0\xff"), unmaskable(0x88, "\x03\xf4caf\xc3\xa9") + "more",
		string(clientFrame(0x81, "masked")) + string(clientFrame(0x01, "a")) + string(clientFrame(0x80, "b")) + string(clientFrame(0x88, "\x0f\xa1")),
	} {
		f.Add([]byte(seed), []byte{})
		f.Add([]byte(seed), []byte{0})
		f.Add([]byte(seed), []byte{2, 9, 0})
	}
	subject := newSubject(f)
	f.Fuzz(func(t *testing.T, stream, pieces []byte) {
		if len(stream) > 16<<10 {
			return
		}
		got := subject.decode(t, stream, pieces)
		want, err := referenceDecode(t, stream)
		if err != nil {
			t.Fatal(err)
		}
		if got.code == ws.StatusProtocolError && want.code == statusAbnormal && endsInHeader(stream) {
			// A header can be wrong before it is complete; FuzzDecodeHeader proves that
			// no end would have made it right.
			want.code, want.answers = got.code, got.answers
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("% x in pieces of % x:\n got %+v\nwant %+v", stream, pieces, got, want)
		}
	})
}

// strictness finds the first frame that we refuse and coder/websocket does not,
// or not as early: where it begins and the close code.
//
//   - a length not in its shortest form: 1002 (RFC 6455, 5.2)
//   - a message over the limit: 1009 at the header that makes it so, not after the limit has arrived
//   - text that is not UTF-8: 1007, as soon as no continuation can make it valid (8.1)
//   - a close reason that is not UTF-8: 1007
//
// Frames are taken apart with gobwas, which the decoder under test does not use for
// this either.
func strictness(stream []byte) (at int, code ws.StatusCode) {
	var text []byte
	var size int64
	var op ws.OpCode
	r := bytes.NewReader(stream)
	for {
		at = len(stream) - r.Len()
		h, err := ws.ReadHeader(r)
		if err != nil {
			return len(stream), 0
		}
		state := ws.StateServerSide
		if op != 0 {
			state |= ws.StateFragmented
		}
		if h.Rsv != 0 || ws.CheckHeader(h, state) != nil { // everybody's business
			return len(stream), 0
		}
		if headerBytes := len(stream) - r.Len() - at; headerBytes != ws.HeaderSize(h) {
			return at, ws.StatusProtocolError
		}
		if !h.OpCode.IsControl() {
			if h.OpCode != ws.OpContinuation {
				op = h.OpCode
			}
			if size += h.Length; size > streamLimit {
				return at, ws.StatusMessageTooBig
			}
		}
		payload := make([]byte, h.Length)
		n, _ := io.ReadFull(r, payload)
		ws.Cipher(payload, h.Mask, 0)
		payload = payload[:n]
		whole := int64(n) == h.Length
		switch {
		case h.OpCode == ws.OpClose:
			if !whole || n < 2 || !mayBeSent(payload[:2]) || utf8.Valid(payload[2:]) {
				return len(stream), 0 // whatever follows it
			}
			return at, ws.StatusInvalidFramePayloadData
		case h.OpCode.IsControl():
			continue
		case op == ws.OpText:
			text = append(text, payload...)
			if !utf8.Valid(text) && (whole && h.Fin || !completableText(text)) {
				return at, ws.StatusInvalidFramePayloadData
			}
		}
		if h.Fin {
			op, size, text = 0, 0, nil
		}
	}
}

// mayBeSent reports whether a close frame may carry code.
func mayBeSent(code []byte) bool {
	_, _, violation := wire.ParseClosePayload(code)
	return violation == nil
}

// completableText reports whether some continuation makes p valid.
func completableText(p []byte) bool {
	for cut := range min(utf8.UTFMax, len(p)+1) {
		if head, tail := p[:len(p)-cut], p[len(p)-cut:]; utf8.Valid(head) {
			return cut == 0 || wiretest.Completable(tail)
		}
	}
	return false
}

// endsInHeader reports whether the stream ends within the header of a frame.
func endsInHeader(stream []byte) bool {
	for r := bytes.NewReader(stream); ; {
		before := r.Len()
		h, err := ws.ReadHeader(r)
		if err != nil {
			return before > 0
		}
		if h.Length > int64(r.Len()) {
			return false
		}
		r.Seek(h.Length, io.SeekCurrent)
	}
}

// referenceDecode is what coder/websocket makes of the stream up to where we are
// stricter.
func referenceDecode(t *testing.T, stream []byte) (o outcome, err error) {
	at, stricter := strictness(stream)
	conn := &scriptedConn{script: stream[:at]}
	q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(testHandshake)))
	if err != nil {
		return o, err
	}
	c, err := websocket.Accept(conn, q, nil)
	if err != nil {
		return o, err
	}
	defer c.CloseNow()
	conn.out.Reset()
	c.SetReadLimit(streamLimit)
	for err == nil {
		var typ websocket.MessageType
		var payload []byte
		if typ, payload, err = c.Read(context.Background()); err == nil {
			o.messages = append(o.messages, strings.ToLower(typ.String()[len("Message"):])+":"+string(payload))
		}
	}
	var sent []ws.StatusCode
	o.pongs, sent = answersIn(t, conn.out.Bytes())
	var closed websocket.CloseError
	switch ended := errors.Is(err, errScriptEnds); {
	case errors.As(err, &closed):
		o.code, o.reason, o.answers = ws.StatusCode(closed.Code), closed.Reason, sent
		return o, nil
	case ended && stricter == 0:
		o.code, o.answers = statusAbnormal, sent
		return o, nil
	case ended:
		o.code = stricter
	default:
		// It sends no close frame for an unmasked frame and for a length with the top bit set.
		o.code = ws.StatusProtocolError
	}
	o.answers = []ws.StatusCode{o.code}
	if len(sent) > 0 && sent[0] != o.code {
		return o, fmt.Errorf("% x: coder/websocket sends %d for %w", stream, sent[0], err)
	}
	return o, nil
}

// answersIn takes apart what a server sent: pongs and close frames.
func answersIn(t *testing.T, out []byte) (pongs []string, closes []ws.StatusCode) {
	t.Helper()
	for rest := out; len(rest) > 0; {
		var h ws.Header
		var payload []byte
		var ok bool
		if h, payload, rest, ok = cutFrame(rest); !ok || h.Masked || ws.CheckHeader(h, ws.StateClientSide) != nil {
			t.Fatalf("sent % x: %+v", out, h)
		}
		switch h.OpCode {
		case ws.OpPong:
			pongs = append(pongs, string(payload))
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			if !utf8.ValidString(reason) {
				t.Fatalf("sent the reason % x", reason)
			}
			closes = append(closes, code)
		default:
			t.Fatalf("sent % x", out)
		}
	}
	return pongs, closes
}

// cutFrame takes the first frame off b, if it is there as a whole.
func cutFrame(b []byte) (h ws.Header, payload, rest []byte, ok bool) {
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	if err != nil || h.Length > int64(r.Len()) {
		return h, nil, b, false
	}
	rest = b[len(b)-r.Len():]
	return h, rest[:h.Length], rest[h.Length:], true
}

// scriptedConn is a connection that yields a script and keeps what is written.
type scriptedConn struct {
	script []byte
	out    bytes.Buffer
	header http.Header
}

// errScriptEnds is not io.EOF, which coder/websocket would take for the end of a
// message where a fragment has been the last thing to arrive.
var errScriptEnds = errors.New("the script ends")

func (c *scriptedConn) Read(p []byte) (n int, err error) {
	if len(c.script) == 0 {
		return 0, errScriptEnds
	}
	n = copy(p, c.script)
	c.script = c.script[n:]
	return n, nil
}

func (c *scriptedConn) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}
func (c *scriptedConn) WriteHeader(int) {}
func (c *scriptedConn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}
func (c *scriptedConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *scriptedConn) Close() error                     { return nil }
func (c *scriptedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *scriptedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// subject is a loop that nobody runs: the test feeds its connections by hand.
type subject struct {
	loop *Loop
	outcome
	conn *Conn
	ends int
}

func newSubject(f *testing.F) *subject {
	sub := new(subject)
	s, err := New(Config{Handler: sub, Loops: 1, MaxMessageSize: streamLimit})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Stop(context.Background()) })
	sub.loop = s.Loops()[0]
	return sub
}

func (s *subject) Upgrade(c *Conn, _ *wire.Request) Verdict { s.conn = c; return Verdict{} }
func (s *subject) Frame(*Conn, ws.OpCode)                   {}
func (s *subject) Resumed(*Conn)                            {}
func (s *subject) Tick(*Loop, uint32) bool                  { return false }

func (s *subject) Message(_ *Conn, op ws.OpCode, payload []byte) {
	s.messages = append(s.messages, map[ws.OpCode]string{ws.OpText: "text:", ws.OpBinary: "binary:"}[op]+string(payload))
}

func (s *subject) Closed(_ *Conn, end End) {
	s.ends++
	s.code = end.Code
	if end.Cause == PeerClosed {
		s.reason = end.Reason
	}
}

// decode lets a connection live through the stream, in pieces of the given
// lengths less one, over and over. If their number is odd, others close in the same turns.
func (s *subject) decode(t *testing.T, stream, pieces []byte) outcome {
	l := s.loop
	s.outcome, s.ends, s.conn = outcome{}, 0, nil
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	var out []byte
	drain := func() {
		l.uncork()
		for buf := make([]byte, 4<<10); ; {
			n, err := unix.Read(fds[1], buf)
			if n <= 0 || err != nil {
				return
			}
			out = append(out, buf[:n]...)
		}
	}
	l.adopt(int32(fds[0]), netip.AddrPort{})
	c := l.conns.At(l.slots - 1)
	l.received(c, l.rbuf[:copy(l.rbuf, testHandshake)])
	drain()
	if s.conn != c {
		t.Fatalf("not upgraded: %q", out)
	}
	out = nil
	for i := 0; len(stream) > 0 && (c.state == stateOpen || c.state == stateClosing); i++ {
		n := len(stream)
		if len(pieces) > 0 {
			n = min(n, int(pieces[i%len(pieces)])+1)
		}
		n = copy(l.rbuf, stream[:n])
		stream = stream[n:]
		l.leavers.served = len(pieces) % 2 * transientsPerTurn
		l.received(c, l.rbuf[:n])
		for j := range l.rbuf[:n] {
			l.rbuf[j] = 0xAA // whoever kept a part of it will notice
		}
		for range 2 { // this turn, and the next
			l.letGo()
		}
		drain()
	}
	c.broken()
	drain()
	if st := &l.stats; s.ends != 1 || st.Descriptors != 0 || st.Open != 0 || st.Closing != 0 || st.PendingBytes != 0 || l.srv.ledger.all[MessageBudget].used.Load() != 0 || l.srv.ledger.all[OutboxBudget].used.Load() != 0 || c.in != nil || c.out != nil {
		t.Fatalf("ended %d times, %d bytes in part, %+v", s.ends, l.holders[MessageBudget].held, *st)
	}
	s.pongs, s.answers = answersIn(t, out)
	return s.outcome
}
