package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"ws-gateway/bench/sock"
)

// Sessions that can be resumed (docs/protocol.md, Resumable sessions). Messages that begin
// with recordMark are about the session; all others are counted, and acknowledged.
const (
	resumeProtocol = "ws-gateway.resume.v1"
	recordMark     = 0x1e
	ackEvery       = 32 // messages, as clients do
)

// session is what a connection knows of its own.
type session struct {
	token    []byte // nil: no greeting yet
	received uint64 // messages of the gateway
	owed     uint32 // of these, those that have not been acknowledged
}

// appendOffer appends the handshake line that asks for a session, or for the one whose token s
// has.
func (s *session) appendOffer(dst []byte) []byte {
	dst = append(dst, "Sec-WebSocket-Protocol: "+resumeProtocol...)
	if s.token != nil {
		dst = append(append(dst, ", "+resumeProtocol+"."...), s.token...)
		dst = strconv.AppendUint(append(dst, '.'), s.received, 10)
	}
	return append(dst, "\r\n"...)
}

// wholeFrame returns the payload of the text or binary frame that data begins with, and what
// follows it; ok is false while it is incomplete.
func wholeFrame(data []byte) (payload, rest []byte, ok bool) {
	head, length := frameHead(data)
	if head == 0 || int64(len(data)) < int64(head)+length {
		return nil, data, false
	}
	return data[head:][:length], data[int64(head)+length:], true
}

// greeted takes a greeting. It says whether the session went on.
func (s *session) greeted(payload []byte) (resumed bool, err error) {
	var g struct {
		Resumed bool
		Token   string
	}
	if len(payload) == 0 || payload[0] != recordMark || json.Unmarshal(payload[1:], &g) != nil || g.Token == "" {
		return false, fmt.Errorf("load: the greeting is %s", printable(payload))
	}
	if !g.Resumed {
		s.received, s.owed = 0, 0
	}
	s.token = []byte(g.Token)
	return g.Resumed, nil
}

// appendAck appends a frame that acknowledges what has been received.
func (s *session) appendAck(dst []byte) []byte {
	var text [24]byte
	s.owed = 0
	return AppendFrame(dst, 0x80|Text, strconv.AppendUint(append(text[:0], recordMark), s.received, 10))
}

// offering adds the offer to the lines of a handshake.
func (w *worker) offering(header func(dst []byte, conn int) []byte) func(dst []byte, conn int) []byte {
	return func(dst []byte, conn int) []byte {
		if header != nil {
			dst = header(dst, conn)
		}
		return w.sessions[conn/w.cfg.Threads].appendOffer(dst)
	}
}

// greet takes what has come behind a handshake: the greeting, once it is whole.
func (w *worker) greet(i int32, data []byte) (rest []byte, err error) {
	payload, rest, ok := wholeFrame(data)
	if !ok {
		if len(data) > 0 {
			w.keep(i, data)
		}
		return nil, nil
	}
	_, err = w.sessions[i].greeted(payload)
	return rest, err
}

// skipAcks takes off the gateway's acknowledgements that data begins with. Of an incomplete
// frame nothing is left: it comes again.
func (w *worker) skipAcks(i int32, c *conn, data []byte) []byte {
	for c.matched == 0 && len(data) > 0 {
		if len(data) > 2 && (data[0] != 0x80|Text || data[2] != recordMark) {
			return data
		}
		_, rest, ok := wholeFrame(data)
		if !ok {
			w.keep(i, data)
			return nil
		}
		data = rest
	}
	return data
}

// acknowledge counts a reply, and acknowledges after so many, unless a message is under way.
func (w *worker) acknowledge(i int32, c *conn) {
	s := &w.sessions[i]
	s.received++
	if s.owed++; s.owed < ackEvery || c.written != 0 {
		return
	}
	w.ack = s.appendAck(w.ack[:0])
	if n, err := sock.Write(int(c.fd), w.ack); err != nil || n < len(w.ack) {
		w.fail(i, c, fmt.Errorf("acknowledging: %d of %d bytes were written: %w", n, len(w.ack), err))
	}
}

// tellSession takes what has come to a member with a session. Its messages are few and small,
// so one that is incomplete is kept.
func (h *Herd) tellSession(i int32, m *member, data []byte) {
	s := &h.sessions[i]
	for len(data) > 0 {
		payload, rest, ok := wholeFrame(data)
		if !ok {
			h.dialer.keep(i, data)
			return
		}
		control := data[0]&0x08 != 0
		data = rest
		switch {
		case control:
		case !m.greeted:
			resumed, err := s.greeted(payload)
			if err != nil {
				h.fail(i, err)
				return
			}
			if m.greeted = true; resumed {
				h.gathering.Resumed++
			}
		case bytes.HasPrefix(payload, []byte{recordMark}):
		default:
			s.received++
			h.messages.Add(1)
		}
	}
}
