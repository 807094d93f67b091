package load

import (
	"encoding/binary"
	"errors"

	"ws-gateway/bench/sock"
)

// closeFrame says 1000, masked with zeros.
var closeFrame = []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}

// number is the connection's, among all flocks.
func (f *Flock) number(i int32) int { return f.cfg.First + int(i) }

// attempt begins a handshake.
func (f *Flock) attempt(i int32, b *bird) {
	f.gathering.Attempts++
	err := f.dial(&b.link, i, f.number(i))
	if b.state != undialled {
		f.landing++
		f.wake(i, f.now()+int64(f.cfg.Patience))
	}
	if err != nil {
		f.fail(i, err)
	}
}

// opening takes a connection one step further in its opening handshake.
func (f *Flock) opening(i int32, b *bird) {
	rest, err := f.shake(&b.link, i, f.number(i))
	refused := refusal{}
	switch {
	case errors.As(err, &refused):
		f.gathering.Answers[refused.status]++
		f.later(i)
	case err != nil:
		f.fail(i, err)
	case b.state == open:
		f.landing--
		b.attempts = 0
		b.alarm++ // it was answered in time
		f.open.Add(1)
		f.gathering.Opened++
		_ = f.gathering.Times.RecordValue(min(f.now()-b.wanted, longestLatency)) // in range by then
		f.tell(i, b, rest)
	}
}

// leave sends a close frame. A kernel that takes no eight bytes holds so much
// else for this connection that it may as well be cut off.
func (f *Flock) leave(i int32) {
	b := &f.birds[i]
	if _, err := sock.Write(int(b.fd), closeFrame); err != nil {
		f.ended(i)
		return
	}
	f.open.Add(-1)
	b.state = leaving
	f.wake(i, f.now()+int64(f.cfg.Patience))
}

// receive reads from a connection that is open, or was until now.
func (f *Flock) receive(i int32, b *bird) {
	data, err := f.read(&b.link, i)
	switch {
	case err == nil:
		f.tell(i, b, data)
	case b.state == leaving:
		f.away(i)
		f.again(i, f.now())
	default:
		f.ended(i)
	}
}

// ended takes note of an open connection that the server ended.
func (f *Flock) ended(i int32) {
	f.gathering.Ended++
	f.birds[i].wanted = f.now()
	f.later(i)
}

// tell counts the data frames in what has come (RFC 6455, section 5.2).
func (f *Flock) tell(i int32, b *bird, data []byte) {
	for len(data) > 0 {
		if b.skip > 0 {
			n := min(b.skip, int64(len(data)))
			b.skip -= n
			data = data[n:]
			if b.skip == 0 {
				f.messages.Add(1)
			}
			continue
		}
		head, length := frameHead(data)
		if head == 0 {
			f.keep(i, data)
			return
		}
		whole := int64(head) + length
		switch control := data[0]&0x08 != 0; {
		case control && int64(len(data)) < whole:
			f.keep(i, data)
			return
		case control:
			data = data[whole:]
		case length == 0:
			f.messages.Add(1)
			data = data[head:]
		default:
			b.skip, data = length, data[head:]
		}
	}
}

// frameHead returns the lengths of a frame's header and payload, as a server
// sends it; head is 0 where the header is not whole.
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
