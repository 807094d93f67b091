package netpoll

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"ws-gateway/netpoll/internal/wiretest"
	"ws-gateway/netpoll/wire"
)

// dialCompressed upgrades by hand with an offer and returns the answer's value.
func dialCompressed(t *testing.T, addr, offer string) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, strings.Replace(testHandshake, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: "+offer+"\r\n\r\n", 1))
	head := make([]byte, 0, 512)
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("handshake: %v after %q", err, head)
		}
	}
	_, answer, _ := strings.Cut(string(head), "Sec-WebSocket-Extensions: ")
	answer, _, _ = strings.Cut(answer, "\r\n")
	return c, answer
}

// packed is a masked client frame with RSV1 and a payload compressed by
// another compressor.
func packed(t *testing.T, first byte, payload string) []byte {
	t.Helper()
	return clientFrame(first|0x40, string(wiretest.Deflate(t, []byte(payload), false)))
}

func TestAnIndependentClientTalksCompressed(t *testing.T) {
	for _, mode := range []websocket.CompressionMode{websocket.CompressionNoContextTakeover, websocket.CompressionContextTakeover} {
		_, addr := startServer(t, Config{Handler: newRecorder(), Compression: true, CompressionThreshold: 1, MaxMessageSize: 8 << 20, MaxPendingBytes: 16 << 20})
		c, _, err := websocket.Dial(testContext(t), "ws://"+addr+"/ws", &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(16 << 20)
		for _, n := range []int{0, 1, 100, 1000, 70_000, 4 << 20} {
			want := bytes.Repeat([]byte(`{"n":1234567890,"text":"hello"}`), n/30+1)[:n]
			if err := c.Write(testContext(t), websocket.MessageText, want); err != nil {
				t.Fatal(err)
			}
			_, got, err := c.Read(testContext(t))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: got %d, %v", n, len(got), err)
			}
		}
		c.Close(1000, "")
	}
}

func TestCompressionIsUsedOnlyWhereItWasAgreedOn(t *testing.T) {
	text := strings.Repeat("compressible ", 100)
	for _, tt := range []struct {
		name, offer string
		enabled     bool
		answered    bool
	}{
		{"agreed", "permessage-deflate", true, true},
		{"not offered", "x-other", true, false},
		{"not enabled", "permessage-deflate", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newRecorder()
			_, addr := startServer(t, Config{Handler: h, Compression: tt.enabled})
			c, answer := dialCompressed(t, addr, tt.offer)
			if (answer != "") != tt.answered {
				t.Fatalf("answered %q", answer)
			}
			c.Write(clientFrame(0x81, text))
			first := make([]byte, 1)
			if _, err := io.ReadFull(c, first); err != nil || first[0]&0x40 != 0 != tt.answered {
				t.Errorf("the reply begins with %#x, %v", first[0], err)
			}
			if !tt.answered {
				c.Write(packed(t, 0x81, text))
				if end := h.only(t); end.Cause != ProtocolError {
					t.Errorf("RSV1 without an agreement ended with %+v", end)
				}
			}
		})
	}
}

func TestABroadcastIsCompressedForThoseWhoAgreedAndReachesEverybody(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Compression: true, Loops: 1})
	text := strings.Repeat("to all and everybody ", 500)
	small, _ := dialCompressed(t, addr, "permessage-deflate; server_max_window_bits=9")
	large, _ := dialCompressed(t, addr, "permessage-deflate")
	plain := dialRaw(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 3 })
	f := NewFrame(ws.OpText, []byte(text))
	s.Prepare(f)
	s.Loops()[0].Post(func(l *Loop) bool {
		for _, id := range h.opened {
			l.Lookup(id).Send(f)
		}
		return false
	})
	for name, c := range map[string]net.Conn{"9 bits": small, "15 bits": large, "plain": plain} {
		want := f.wire.BytesFor(wire.DeflateParams{WindowBits: map[string]uint8{"9 bits": 9, "15 bits": 15}[name]})
		if compressed := want[0] == 0xC1; compressed != (name != "plain") || compressed && len(want) >= f.Len() {
			t.Fatalf("%s: %d of %d bytes, compressed %v", name, len(want), f.Len(), compressed)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	if nobody := f.wire.BytesFor(wire.DeflateParams{WindowBits: 8}); nobody[0] != 0x81 {
		t.Error("compressed for a window that nobody has")
	}
}

func TestCompressedMessagesAreCheckedLikeOthers(t *testing.T) {
	bomb := strings.Repeat("\x00", 10_000)
	fragments := func(t *testing.T) []byte {
		whole := packed(t, 0x81, strings.Repeat("fragmented ", 60))
		payload := unmasked(whole)
		return bytes.Join([][]byte{
			clientFrame(0x41, payload[:3]), clientFrame(0x89, "ping"), clientFrame(0x00, payload[3:7]), clientFrame(0x80, payload[7:]),
		}, nil)
	}
	for _, tt := range []struct {
		name   string
		frames []byte
		cause  Cause
	}{
		{"bomb", packed(t, 0x82, bomb), MessageTooBig},
		{"corrupt", clientFrame(0xC1, "\xff\xff\xff\xff"), ProtocolError},
		{"not UTF-8 inside", packed(t, 0x81, strings.Repeat("\xff", 100)), InvalidUTF8},
		{"RSV1 on a continuation", append(clientFrame(0x01, "a"), clientFrame(0xC0, "b")...), ProtocolError},
		{"RSV1 on a control frame", clientFrame(0xC9, ""), ProtocolError},
		{"RSV2", clientFrame(0xA1, "a"), ProtocolError},
		{"fine, in fragments", append(fragments(t), clientFrame(0x88, "")...), PeerClosed},
		{"fine, empty", append(clientFrame(0xC1, "\x00"), clientFrame(0x88, "")...), PeerClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newRecorder()
			messages := 0
			h.message = func(_ *Conn, _ ws.OpCode, payload []byte) { messages++ }
			_, addr := startServer(t, Config{Handler: h, Compression: true, MaxMessageSize: 1000})
			c, _ := dialCompressed(t, addr, "permessage-deflate")
			c.Write(tt.frames)
			end := h.only(t)
			if end.Cause != tt.cause {
				t.Errorf("ended with %+v", end)
			}
			if want := map[bool]int{true: 1}[tt.cause == PeerClosed]; messages != want {
				t.Errorf("%d messages were delivered", messages)
			}
		})
	}
}

// unmasked is the payload of a short clientFrame.
func unmasked(frame []byte) string {
	mask, payload := frame[2:6], bytes.Clone(frame[6:])
	for i := range payload {
		payload[i] ^= mask[i&3]
	}
	return string(payload)
}

func TestALargeCompressedReplyThatWaitsIsNotOverwrittenByTheNext(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Compression: true, Loops: 1, MaxPendingBytes: 32 << 20})
	c, _, err := websocket.Dial(testContext(t), "ws://"+addr+"/ws", &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(32 << 20)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	messages := [][]byte{
		random(10_000), random(10_300), random(13_600), // these make the loop's scratch grow
		make([]byte, 16<<20), // this one fills the socket
		append(random(17_000), make([]byte, 17_000)...), append(random(17_000), make([]byte, 17_000)...),
	}
	s.Loops()[0].Post(func(l *Loop) bool {
		for i, m := range messages {
			conn := l.Lookup(h.opened[0])
			if i == 3 {
				conn.Send(NewFrame(ws.OpBinary, m))
			} else {
				conn.Reply(ws.OpBinary, m)
			}
		}
		return false
	})
	for i, want := range messages {
		if _, got, err := c.Read(testContext(t)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("message %d: got %d bytes, %v", i, len(got), err)
		}
	}
}

func TestAMessageThatCannotBeShortenedMayStillBeCompressed(t *testing.T) {
	h := newRecorder()
	h.message = func(c *Conn, op ws.OpCode, payload []byte) { h.note(func() { h.resume += len(payload) }) }
	_, addr := startServer(t, Config{Handler: h, Compression: true, MaxMessageSize: 1000})
	c, _ := dialCompressed(t, addr, "permessage-deflate")
	stored := "\x00\xe8\x03\x17\xfc" + strings.Repeat("r", 1000) + "\x00" // a stored block of 1000 bytes: 1006 on the wire
	c.Write(clientFrame(0xC2, stored))
	h.await(t, "the message", func() bool { return h.resume == 1000 })
}

func TestACompressedMessageMayArriveInAnyPieces(t *testing.T) {
	_, addr := startServer(t, Config{Handler: newRecorder(), Compression: true, CompressionThreshold: 1 << 20})
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, `{"n":%d,"x":"%x"},`, i*7919, i*i*31)
	}
	frame := packed(t, 0x81, text.String())
	for _, size := range []int{1, 2, 3, 5, 6, 7, 8, 13, 100} {
		c, _ := dialCompressed(t, addr, "permessage-deflate")
		for rest := frame; len(rest) > 0; {
			n := min(size, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		want := NewFrame(ws.OpText, []byte(text.String())).wire.Bytes()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: %v", size, err)
		}
	}
}
