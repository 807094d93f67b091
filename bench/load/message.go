package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Opcodes of data frames (RFC 6455, section 5.2).
const (
	Text   = 1
	Binary = 2
)

const markLen = 16 // hexadecimal digits: eight of the connection, eight of the message

// Message is what connections send: a payload with room for a mark, the number
// of the connection and of the message, so that no two are alike.
type Message struct {
	op      byte
	payload []byte
	mark    int    // where the mark begins in payload; below 0: there is none
	reply   []byte // the reply's payload; nil: the same

	library *library // of messages that travel compressed, which have no other payload
}

// Bare returns a message of size bytes, at least 16, that begins with its mark
// and is filled up with printable ASCII.
func Bare(op byte, size int) (*Message, error) {
	if size < markLen {
		return nil, fmt.Errorf("load: a message of %d bytes has no room for its mark of %d", size, markLen)
	}
	return &Message{op: op, payload: []byte(filler(size)), mark: 0}, nil
}

// Event returns a text message of size bytes that is a JSON object of the shape
// that apps use: {"event":"bench","data":{"id":"<mark>","pad":"…"}}.
func Event(size int) (*Message, error) {
	const before, between, after = `{"event":"bench","data":{"id":"`, `","pad":"`, `"}}`
	pad := size - len(before) - markLen - len(between) - len(after)
	if pad < 0 {
		return nil, fmt.Errorf("load: an event has at least %d bytes, not %d", size-pad, size)
	}
	text := before + strings.Repeat("0", markLen) + between + filler(pad) + after
	return &Message{op: Text, payload: []byte(text), mark: len(before)}, nil
}

// BroadcastPrefix begins a message that the echo server and its peers send to all
// connections, if they are told to.
const BroadcastPrefix = "broadcast "

// Broadcast returns a text message of 64 bytes that goes to all.
func Broadcast() *Message {
	text := BroadcastPrefix + filler(64-len(BroadcastPrefix)-markLen)
	return &Message{op: Text, payload: []byte(text + strings.Repeat("0", markLen)), mark: len(text)}
}

// Ping returns the application's ping, which the gateway itself answers. It has
// no mark: pings are all alike, and so are the answers.
func Ping() *Message {
	return &Message{op: Text, payload: []byte(`{"event":"ping"}`), mark: -1, reply: []byte(`{"event":"pong"}`)}
}

// Echoed returns m for a server that sends every message back as it came.
func Echoed(m *Message) *Message { return &Message{op: m.op, payload: m.payload, mark: m.mark} }

// Size is the length of the payload in bytes.
func (m *Message) Size() int { return len(m.payload) }

// Append appends the payload of message number seq of a connection.
func (m *Message) Append(dst []byte, conn, seq uint32) []byte {
	start := len(dst)
	dst = append(dst, m.payload...)
	if m.mark >= 0 {
		putMark(dst[start+m.mark:], conn, seq)
	}
	return dst
}

// Parse returns what the mark of a payload says. ok is false unless payload is
// this message, byte for byte, with a mark.
func (m *Message) Parse(payload []byte) (conn, seq uint32, ok bool) {
	end := m.mark + markLen
	if m.mark < 0 || len(payload) != len(m.payload) ||
		!bytes.Equal(payload[:m.mark], m.payload[:m.mark]) || !bytes.Equal(payload[end:], m.payload[end:]) {
		return 0, 0, false
	}
	conn, ok = parseHex(payload[m.mark:][:8])
	if !ok {
		return 0, 0, false
	}
	seq, ok = parseHex(payload[m.mark+8:][:8])
	return conn, seq, ok
}

func filler(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return strings.Repeat(alphabet, n/len(alphabet)+1)[:n]
}

// mask is every frame's: it need not surprise anybody here, but must not be zero,
// which a server could treat specially.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frames are the encodings of a message by one worker, which writes the marks.
type frames struct {
	request, reply         []byte // masked, as a client sends; plain, as a server does
	marked                 bool
	requestMark, replyMark int
	keys                   [4]byte // the mask from the mark's first byte on

	packed *packedFrames // of messages that travel compressed, which need nothing else
}

func (m *Message) frames() *frames {
	if m.library != nil {
		return &frames{packed: m.library.frames()}
	}
	request := AppendFrame(nil, 0x80|m.op, m.payload)
	answer := m.payload
	if m.reply != nil {
		answer = m.reply
	}
	reply := AppendHeader(nil, 0x80|m.op, uint64(len(answer)), false)
	f := &frames{
		request: request, reply: append(reply, answer...), marked: m.mark >= 0,
		requestMark: len(request) - len(m.payload) + m.mark, replyMark: len(reply) + m.mark,
	}
	for i := range f.keys {
		f.keys[i] = mask[(m.mark+i)&3]
	}
	return f
}

// ask returns the frame of message number seq of a connection, until the next call.
func (f *frames) ask(conn, seq uint32) []byte {
	if f.packed != nil {
		return f.packed.requests[f.packed.number(conn, seq)]
	}
	if !f.marked {
		return f.request
	}
	mark := f.request[f.requestMark:][:markLen]
	putMark(mark, conn, seq)
	for i := range mark {
		mark[i] ^= f.keys[i&3]
	}
	return f.request
}

// answer returns the one right reply to it, until the next call.
func (f *frames) answer(conn, seq uint32) []byte {
	if f.marked {
		putMark(f.reply[f.replyMark:], conn, seq)
	}
	return f.reply
}

func putMark(dst []byte, conn, seq uint32) {
	putHex(dst[:8], conn)
	putHex(dst[8:], seq)
}

func parseHex(text []byte) (v uint32, ok bool) {
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint32(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint32(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

func putHex(dst []byte, v uint32) {
	const digits = "0123456789abcdef"
	for i := 7; i >= 0; i-- {
		dst[i] = digits[v&15]
		v >>= 4
	}
}

// AppendHeader appends the header of a frame (RFC 6455, section 5.2) that claims
// length bytes of payload, with the mask when masked. first is the opcode, with FIN
// and reserved bits.
func AppendHeader(dst []byte, first byte, length uint64, masked bool) []byte {
	var bit byte
	if masked {
		bit = 0x80
	}
	switch {
	case length < 126:
		dst = append(dst, first, bit|byte(length))
	case length < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, bit|126), uint16(length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, bit|127), length)
	}
	if masked {
		dst = append(dst, mask[:]...)
	}
	return dst
}

// AppendFrame appends a masked frame.
func AppendFrame(dst []byte, first byte, payload []byte) []byte {
	dst = AppendHeader(dst, first, uint64(len(payload)), true)
	for i, b := range payload {
		dst = append(dst, b^mask[i&3])
	}
	return dst
}

// describe says what a frame from the server is, for a message about a wrong one.
func describe(data []byte) string {
	if len(data) >= 4 && data[0] == 0x88 && data[1] >= 2 && data[1] < 126 {
		body := data[2:min(len(data), 2+int(data[1]))]
		return fmt.Sprintf("a close frame with %d %s", binary.BigEndian.Uint16(body), printable(body[2:]))
	}
	return printable(data)
}
