package load

import (
	"encoding/binary"
	"errors"

	"ws-gateway/bench/sock"
)

// closeFrame says 1000, masked with zeros.
var closeFrame = []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}

// number is the connection's, among all herds.
func (h *Herd) number(i int32) int { return h.cfg.First + int(i) }

// attempt begins a handshake.
func (h *Herd) attempt(i int32, m *member) {
	h.gathering.Attempts++
	err := h.dialer.Dial(&m.Link, i, h.number(i))
	if m.state != undialled {
		h.handshaking++
		h.wake(i, h.now()+int64(h.cfg.Patience))
	}
	if err != nil {
		h.fail(i, err)
	}
}

// opening takes a connection one step further in its opening handshake.
func (h *Herd) opening(i int32, m *member) {
	rest, err := h.dialer.Shake(&m.Link, i, h.number(i))
	refused := Refusal{}
	switch {
	case errors.As(err, &refused):
		h.gathering.Answers[refused.Status]++
		h.later(i)
	case err != nil:
		h.fail(i, err)
	case m.state == open:
		h.handshaking--
		m.attempts = 0
		m.timer++ // it was answered in time
		h.open.Add(1)
		h.gathering.Opened++
		_ = h.gathering.Times.RecordValue(min(h.now()-m.wanted, longestLatency)) // in range by then
		h.tell(i, m, rest)
	}
}

// leave sends a close frame. A kernel that takes no eight bytes holds so much
// else for this connection that it may as well be cut off.
func (h *Herd) leave(i int32) {
	m := &h.members[i]
	if _, err := sock.Write(int(m.fd), closeFrame); err != nil {
		h.ended(i)
		return
	}
	h.open.Add(-1)
	m.state = leaving
	h.wake(i, h.now()+int64(h.cfg.Patience))
}

// receive reads from a connection that is open, or was until now.
func (h *Herd) receive(i int32, m *member) {
	data, err := h.dialer.Read(&m.Link, i)
	switch {
	case err == nil:
		h.tell(i, m, data)
	case m.state == leaving:
		h.away(i)
		h.again(i, h.now())
	default:
		h.ended(i)
	}
}

// ended takes note of an open connection that the server ended.
func (h *Herd) ended(i int32) {
	h.gathering.Ended++
	h.members[i].wanted = h.now()
	h.later(i)
}

// tell counts the data frames in what has come (RFC 6455, section 5.2).
func (h *Herd) tell(i int32, m *member, data []byte) {
	if h.sessions != nil {
		h.tellSession(i, m, data)
		return
	}
	for len(data) > 0 {
		if m.skip > 0 {
			n := min(m.skip, int64(len(data)))
			m.skip -= n
			data = data[n:]
			if m.skip == 0 {
				h.messages.Add(1)
			}
			continue
		}
		head, length := frameHead(data)
		if head == 0 {
			h.dialer.keep(i, data)
			return
		}
		whole := int64(head) + length
		switch control := data[0]&0x08 != 0; {
		case control && int64(len(data)) < whole:
			h.dialer.keep(i, data)
			return
		case control:
			data = data[whole:]
		case length == 0:
			h.messages.Add(1)
			data = data[head:]
		default:
			m.skip, data = length, data[head:]
		}
	}
}

// frameHead returns the lengths of a frame's header and payload, as a server
// sends it; head is 0 if the header is incomplete.
func frameHead(data []byte) (head int, length int64) {
	if len(data) < 2 {
		return 0, 0
	}
	switch n := data[1] & 0x7f; {
	case n < 126:
		return 2, int64(n)
	case n == 126 && len(data) >= 4:
		return 4, int64(binary.BigEndian.Uint16(data[2:]))
	case n == 127 && len(data) >= 10:
		return 10, int64(binary.BigEndian.Uint64(data[2:]))
	default:
		return 0, 0
	}
}
