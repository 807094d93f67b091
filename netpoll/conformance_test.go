package netpoll

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// The cases of the conformance tests are those of the Autobahn test suite's
// fuzzing client, by its numbers, and some more. Each runs over a socket of its
// own, against a handler that echoes.

// exchange is one case: what the client sends, and all that must come back.
type exchange struct {
	name string
	send []byte
	want []byte // frames before the close frame
	code int    // of the close frame that the server sends; 0: the client closes with 1000, and it answers that

	chops []int // the sizes of the pieces in which send is written; none: whole and, if short, byte by byte
	after bool  // send goes on after a close frame: the transport may have ended before
}

// echoServer starts a server that echoes.
func echoServer(t *testing.T) (addr string) {
	t.Helper()
	_, addr = startServer(t, Config{
		Handler: quiet{newRecorder()}, Loops: 1, MaxMessageSize: 16 << 20, MaxPendingBytes: 64 << 20,
	})
	return addr
}

// run runs the case in all its chops.
func (x exchange) run(t *testing.T, addr string) {
	t.Helper()
	if x.code == 0 {
		x.send = join(x.send, clientFrame(0x88, closePayload(1000, "")))
	}
	whole := 1 << 30
	chops := x.chops
	if chops == nil {
		chops = []int{whole, 997}
		if len(x.send) < 600 {
			chops = []int{whole, 7, 1}
		}
	}
	t.Run(x.name, func(t *testing.T) {
		for _, chop := range chops {
			if err := x.attempt(t, addr, chop); err != nil {
				t.Errorf("in pieces of %d: %v", min(chop, len(x.send)), err)
			}
		}
	})
}

func (x exchange) attempt(t *testing.T, addr string, chop int) error {
	c := dialRaw(t, addr)
	defer c.Close()
	for rest := x.send; len(rest) > 0; {
		n := min(chop, len(rest))
		if _, err := c.Write(rest[:n]); err != nil {
			if x.after {
				break
			}
			return fmt.Errorf("writing: %w", err)
		}
		rest = rest[n:]
	}
	got, err := io.ReadAll(c)
	if x.after && chop < len(x.send) && errors.Is(err, syscall.ECONNRESET) {
		err = nil // what came after the close frame met a closed socket
	}
	if err != nil {
		return fmt.Errorf("%w after %s", err, shorten(got))
	}
	rest, ok := bytes.CutPrefix(got, x.want)
	if !ok {
		return fmt.Errorf("got %s, want %s and a close frame", shorten(got), shorten(x.want))
	}
	return x.checkClose(rest)
}

// checkClose checks that b is the close frame that the case ends with, and
// nothing else.
func (x exchange) checkClose(b []byte) error {
	if len(b) < 2 || b[0] != 0x88 || len(b) != 2+int(b[1]) || b[1] > 125 {
		return fmt.Errorf("the stream ends with %s, not with one close frame", shorten(b))
	}
	code, reason := 1005, []byte(nil)
	if len(b) >= 4 {
		code, reason = int(binary.BigEndian.Uint16(b[2:])), b[4:]
	}
	want := x.code
	if want == 0 {
		want = 1000
	}
	if code != want || !utf8.Valid(reason) {
		return fmt.Errorf("closed with %d %q, want %d", code, reason, want)
	}
	if failure := code == 1002 || code == 1007 || code == 1009; failure && x.code == code && len(reason) == 0 {
		return fmt.Errorf("closed with %d, and no word why", code)
	}
	return nil
}

func shorten(b []byte) string {
	if len(b) <= 64 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q... (%d bytes)", b[:64], len(b))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// serverFrame is an unmasked frame, built by hand.
func serverFrame(first byte, payload string) []byte {
	switch n := len(payload); {
	case n <= 125:
		return append([]byte{first, byte(n)}, payload...)
	case n <= 0xFFFF:
		return append([]byte{first, 126, byte(n >> 8), byte(n)}, payload...)
	default:
		return append([]byte{first, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, payload...)
	}
}

func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// fragments are the frames of a message in pieces of n bytes.
func fragments(op byte, payload string, n int) (frames [][]byte) {
	for first := op; ; first = 0 {
		if len(payload) <= n {
			return append(frames, clientFrame(0x80|first, payload))
		}
		frames = append(frames, clientFrame(first, payload[:n]))
		payload = payload[n:]
	}
}

func TestConformance1Framing(t *testing.T) {
	addr := echoServer(t)
	for group, kind := range map[int]struct {
		first byte
		name  string
		fill  string
	}{1: {0x81, "text", "*"}, 2: {0x82, "binary", "\xfe"}} {
		for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536} {
			payload := strings.Repeat(kind.fill, size)
			exchange{
				name: fmt.Sprintf("1.%d.%d %s of %d bytes", group, i+1, kind.name, size),
				send: clientFrame(kind.first, payload),
				want: serverFrame(kind.first, payload),
			}.run(t, addr)
		}
	}
}

func TestConformance2PingsAndPongs(t *testing.T) {
	addr := echoServer(t)
	long := strings.Repeat("\xfe", 125)
	var pings, pongs [][]byte
	for i := range 10 {
		payload := fmt.Sprintf("payload-%d", i)
		pings, pongs = append(pings, clientFrame(0x89, payload)), append(pongs, serverFrame(0x8a, payload))
	}
	for _, x := range []exchange{
		{name: "2.1 ping without payload", send: clientFrame(0x89, ""), want: serverFrame(0x8a, "")},
		{name: "2.2 ping with text", send: clientFrame(0x89, "Hello, world!"), want: serverFrame(0x8a, "Hello, world!")},
		{name: "2.3 ping with binary", send: clientFrame(0x89, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), want: serverFrame(0x8a, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")},
		{name: "2.4 and 2.6 ping of 125 bytes", send: clientFrame(0x89, long), want: serverFrame(0x8a, long)},
		{name: "2.5 ping of 126 bytes", send: clientFrame(0x89, long+"x"), code: 1002},
		{name: "pong of 125 bytes", send: clientFrame(0x8a, long)},
		{name: "pong of 126 bytes", send: clientFrame(0x8a, long+"x"), code: 1002},
		{name: "2.7 pong without payload, not asked for", send: clientFrame(0x8a, "")},
		{name: "2.8 pong with payload, not asked for", send: clientFrame(0x8a, "unsolicited")},
		{name: "2.9 pong, then a ping", send: join(clientFrame(0x8a, "unsolicited"), clientFrame(0x89, "ping")), want: serverFrame(0x8a, "ping")},
		{name: "2.10 and 2.11 ten pings", send: join(pings...), want: join(pongs...)},
		{name: "a ping while a message is open", send: join(clientFrame(0x01, "He"), clientFrame(0x89, "p"), clientFrame(0x80, "llo")), want: join(serverFrame(0x8a, "p"), serverFrame(0x81, "Hello"))},
	} {
		x.run(t, addr)
	}
}

// spoilt is a frame that no client may send.
type spoilt struct {
	name  string
	frame []byte
}

// runSpoilt puts each frame in every place: it must end the connection there.
func runSpoilt(t *testing.T, addr string, frames []spoilt) {
	hello := clientFrame(0x81, "Hello, world!")
	echo := serverFrame(0x81, "Hello, world!")
	for _, s := range frames {
		for _, x := range []exchange{
			{name: s.name, send: s.frame},
			{name: s.name + ", then a ping", send: join(s.frame, clientFrame(0x89, ""))},
			{name: s.name + " after a message", send: join(hello, s.frame, clientFrame(0x89, "")), want: echo},
			{name: s.name + " before a message", send: join(s.frame, hello)},
			{name: s.name + " between fragments", send: join(clientFrame(0x01, "frag"), s.frame, clientFrame(0x80, "ment"))},
		} {
			x.code = 1002
			x.run(t, addr)
		}
	}
}

func TestConformance3ReservedBits(t *testing.T) {
	addr := echoServer(t)
	var frames []spoilt
	for rsv := byte(1); rsv <= 7; rsv++ {
		for _, kind := range []struct {
			first byte
			name  string
		}{{0x81, "text"}, {0x82, "binary"}, {0x01, "first fragment"}, {0x00, "continuation"}, {0x80, "last fragment"}, {0x88, "close"}, {0x89, "ping"}, {0x8a, "pong"}} {
			for _, payload := range []string{"", "payload"} {
				if kind.first == 0x88 && payload != "" {
					payload = closePayload(1000, "")
				}
				frames = append(frames, spoilt{
					fmt.Sprintf("3.%d reserved bits %d on a %s of %d bytes", rsv, rsv, kind.name, len(payload)), clientFrame(kind.first|rsv<<4, payload),
				})
			}
		}
	}
	runSpoilt(t, addr, frames)
}

func TestConformance4ReservedOpcodes(t *testing.T) {
	addr := echoServer(t)
	var frames []spoilt
	for op := byte(3); op <= 15; op++ {
		if op >= 8 && op <= 10 {
			continue
		}
		group, number := 1, op-2
		if op > 10 {
			group, number = 2, op-10
		}
		for _, payload := range []string{"", "reserved opcode payload"} {
			for _, first := range []byte{0x80 | op, op} {
				frames = append(frames, spoilt{
					fmt.Sprintf("4.%d.%d first byte %02x and %d bytes", group, number, first, len(payload)), clientFrame(first, payload),
				})
			}
		}
	}
	runSpoilt(t, addr, frames)
}

func TestConformance5Fragmentation(t *testing.T) {
	addr := echoServer(t)
	f1, f2 := clientFrame(0x01, "fragment1"), clientFrame(0x80, "fragment2")
	both := serverFrame(0x81, "fragment1fragment2")
	ping, pong := clientFrame(0x89, "ping payload"), serverFrame(0x8a, "ping payload")
	text := clientFrame(0x81, "Hello, world!")
	more := func(payload string) []byte { return clientFrame(0x00, payload) }
	for _, x := range []exchange{
		{name: "5.1 ping in two fragments", send: join(clientFrame(0x09, "fragment1"), clientFrame(0x80, "fragment2")), code: 1002},
		{name: "5.2 pong in two fragments", send: join(clientFrame(0x0a, "fragment1"), clientFrame(0x80, "fragment2")), code: 1002},
		{name: "close in two fragments", send: join(clientFrame(0x08, closePayload(1000, "")), clientFrame(0x80, "")), code: 1002},
		{name: "5.3 to 5.5 text in two fragments", send: join(f1, f2), want: both},
		{name: "5.6 to 5.8 a ping between", send: join(f1, ping, f2), want: join(pong, both)},
		{name: "5.9 to 5.11 last fragment of nothing, then text", send: join(clientFrame(0x80, "non-continuation payload"), text), code: 1002},
		{name: "5.12 to 5.14 fragment of nothing, then text", send: join(more("non-continuation payload"), text), code: 1002},
		{name: "5.15 fragment of nothing after a message", send: join(f1, f2, more("fragment3"), clientFrame(0x81, "fragment4")), want: both, code: 1002},
		{name: "last fragment of nothing after a message", send: join(f1, f2, clientFrame(0x80, "fragment3"), text), want: both, code: 1002},
		{name: "5.16 fragment of nothing before fragments", send: join(more("fragment1"), f1, f2, more("fragment1"), f1, f2), code: 1002},
		{name: "5.17 last fragment of nothing before fragments", send: join(clientFrame(0x80, "fragment1"), f1, f2), code: 1002},
		{name: "5.18 text within a message", send: join(f1, clientFrame(0x81, "fragment2")), code: 1002},
		{name: "first fragment within a message", send: join(f1, f1), code: 1002},
		{name: "binary within a text message", send: join(f1, clientFrame(0x82, "fragment2")), code: 1002},
		{
			name: "5.19 and 5.20 five fragments and two pings",
			send: join(f1, more("fragment2"), clientFrame(0x89, "pongme 1!"), more("fragment3"), more("fragment4"), clientFrame(0x89, "pongme 2!"), clientFrame(0x80, "fragment5")),
			want: join(serverFrame(0x8a, "pongme 1!"), serverFrame(0x8a, "pongme 2!"), serverFrame(0x81, "fragment1fragment2fragment3fragment4fragment5")),
		},
		{name: "a pong between", send: join(f1, clientFrame(0x8a, ""), f2), want: both},
		{name: "empty fragments around", send: join(clientFrame(0x02, ""), more(""), more("x"), more(""), clientFrame(0x80, "")), want: serverFrame(0x82, "x")},
		{name: "messages one after the other", send: join(f1, f2, text, f1, f2), want: join(both, serverFrame(0x81, "Hello, world!"), both)},
	} {
		x.run(t, addr)
	}
}

func TestLengthsMustBeInTheirShortestForm(t *testing.T) {
	addr := echoServer(t)
	mask := "\x12\x34\x56\x78"
	var frames []spoilt
	for _, n := range []int{0, 1, 124, 125} {
		length := string(binary.BigEndian.AppendUint16(nil, uint16(n)))
		frames = append(frames, spoilt{fmt.Sprintf("%d in 16 bits", n), []byte("\x82\xfe" + length + mask + strings.Repeat("x", n))})
	}
	for _, n := range []int{0, 125, 126, 65535} {
		length := string(binary.BigEndian.AppendUint64(nil, uint64(n)))
		frames = append(frames, spoilt{fmt.Sprintf("%d in 64 bits", n), []byte("\x82\xff" + length + mask + strings.Repeat("x", min(n, 200)))})
	}
	frames = append(frames,
		spoilt{"a length with the top bit set", []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01" + mask + "x")},
		spoilt{"a ping with a 16 bit length", []byte("\x89\xfe\x00\x05" + mask + "xxxxx")},
	)
	runSpoilt(t, addr, frames)
}

func TestFramesMustBeMasked(t *testing.T) {
	addr := echoServer(t)
	runSpoilt(t, addr, []spoilt{
		{"unmasked text", serverFrame(0x81, "Hello")},
		{"unmasked empty text", serverFrame(0x81, "")},
		{"unmasked binary of 126", serverFrame(0x82, strings.Repeat("x", 126))},
		{"unmasked binary of 65536", serverFrame(0x82, strings.Repeat("x", 65536))},
		{"unmasked ping", serverFrame(0x89, "")},
		{"unmasked pong", serverFrame(0x8a, "x")},
		{"unmasked close", serverFrame(0x88, closePayload(1000, ""))},
		{"unmasked continuation", serverFrame(0x80, "ment")},
	})
}
