package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

// leaving is the state of a bird whose close frame is out.
const leaving = failed + 1

// closeFrame says 1000, masked with zeros.
var closeFrame = []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}

// number is the connection's, among all flocks.
func (f *Flock) number(i int32) int { return f.cfg.First + int(i) }

// dial begins an attempt.
func (f *Flock) dial(i int32, b *bird) {
	f.gathering.Attempts++
	fd, err := sock.Dial(f.cfg.Target, source(f.cfg.Target.Addr(), f.number(i)), 0)
	if err != nil {
		f.fail(i, err)
		return
	}
	f.landing++
	b.fd, b.state = int32(fd), connecting
	f.wake(i, f.now()+int64(f.cfg.Patience))
	if err := f.ask(i, b); err != nil {
		f.fail(i, err)
		return
	}
	interest := uint32(unix.EPOLLIN)
	if b.state == connecting {
		interest = unix.EPOLLOUT
	}
	f.watch(i, f.poller.Add(fd, i, interest))
}

// ask sends the opening handshake, if TCP is established by now.
func (f *Flock) ask(i int32, b *bird) error {
	f.request = appendRequest(f.request[:0], f.host, f.cfg.Path, f.number(i), f.cfg.Header)
	n, err := sock.Write(int(b.fd), f.request)
	switch {
	case sock.WouldBlock(err):
		return nil
	case err != nil:
		return fmt.Errorf("sending a handshake: %w", err)
	case n < len(f.request):
		return fmt.Errorf("the kernel took only %d bytes of a handshake", n)
	}
	b.state = shaking
	return nil
}

// answered reads the answer to a handshake.
func (f *Flock) answered(i int32, b *bird) {
	data, err := f.read(i, b)
	switch {
	case err != nil:
		f.fail(i, fmt.Errorf("waiting for the answer to a handshake: %w", err))
		return
	case data == nil:
		return
	}
	length, err := checkResponse(data, f.number(i))
	switch {
	case errors.Is(err, ErrRefused):
		line, _, _ := bytes.Cut(data, []byte("\r\n"))
		f.gathering.Answers[strings.ToValidUTF8(string(line), "?")]++
		f.later(i)
		return
	case err != nil:
		f.fail(i, err)
		return
	case length == 0:
		f.keep(i, data)
		return
	}
	f.landing--
	b.state, b.attempts = open, 0
	b.alarm++ // it was answered in time
	f.open.Add(1)
	f.gathering.Opened++
	_ = f.gathering.Times.RecordValue(min(f.now()-b.wanted, longestLatency)) // in range by then
	f.tell(i, b, data[length:])
}

// errEnded is what the peer's end of a connection looks like.
var errEnded = errors.New("the connection was closed")

// read returns what has come, behind what was kept of it; nil is nothing yet.
func (f *Flock) read(i int32, b *bird) ([]byte, error) {
	n, err := sock.Read(int(b.fd), f.buf)
	switch {
	case sock.WouldBlock(err):
		return nil, nil
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errEnded
	}
	data := f.buf[:n]
	if head, found := f.pieces[i]; found {
		data = append(head, data...)
		delete(f.pieces, i)
	}
	return data, nil
}

func (f *Flock) keep(i int32, piece []byte) { f.pieces[i] = bytes.Clone(piece) }

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
	data, err := f.read(i, b)
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
