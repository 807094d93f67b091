package relay

import (
	"errors"
	"net/netip"
)

// Window is how many bytes of one direction are under way at most: sent by one End, and not
// written by the other.
const Window = 64 << 10

// What a peer does that no End does.
var (
	errGap     = errors.New("a packet of the relay is lost")
	errOverrun = errors.New("more bytes than were allowed")
	errAfter   = errors.New("bytes after the last one")
)

// flow counts what goes in each direction of a relay. The zero value is one of which
// nothing has been sent.
type flow struct {
	// To the peer.
	number   uint64 // of the last frame
	sent     uint64 // bytes
	allowed  uint64 // how many of them may be sent
	finished bool   // there will be no more

	// From the peer.
	last         uint64 // number of the last frame
	received     uint64 // bytes
	written      uint64 // of these, those that are written: whoever has sent them may send as many again
	told         uint64 // the Limit that the peer was told last
	buffer       []byte // those that are not written, and that next has not returned
	peerFinished bool   // there will be no more
}

// room is how many bytes may be sent now.
func (f *flow) room() int { return int(min(f.allowed-f.sent, Window)) }

// frame is the next frame to the peer. data must not be longer than room.
func (f *flow) frame(data []byte, c Close) Frame {
	f.number++
	f.sent += uint64(len(data))
	f.finished = f.finished || c == Finished
	f.told = f.written + Window
	return Frame{Number: f.number, Limit: f.told, Close: c, Data: data}
}

// receive takes a frame of the peer. After an error the relay must end. A frame that comes
// twice is no error.
func (f *flow) receive(in *Frame) error {
	switch {
	case in.Number <= f.last:
		return nil
	case in.Number > f.last+1:
		return errGap
	case len(in.Data) > 0 && f.peerFinished:
		return errAfter
	case uint64(len(in.Data)) > f.told-f.received:
		return errOverrun
	}
	f.last = in.Number
	f.received += uint64(len(in.Data))
	f.allowed = max(f.allowed, in.Limit)
	f.peerFinished = f.peerFinished || in.Close == Finished
	f.buffer = append(f.buffer, in.Data...)
	return nil
}

// next returns what is to be written, in exchange for what it has returned before.
func (f *flow) next(before []byte) (data []byte) {
	const kept = 4 << 10 // an idle relay holds no more
	if cap(before) > kept {
		before = nil
	}
	data, f.buffer = f.buffer, before[:0]
	return data
}

// unwritten is how many bytes of the peer are not written.
func (f *flow) unwritten() int { return int(f.received - f.written) }

// wrote notes that so many bytes more are written. tell says that the peer should know.
func (f *flow) wrote(n int) (tell bool) {
	f.written += uint64(n)
	return f.written+Window-f.told >= Window/2 && !f.peerFinished
}

// ask is the first frame to a peer that is asked for the relay.
func (f *flow) ask(session, head []byte, peer netip.AddrPort, client netip.Addr) Frame {
	ask := f.frame(nil, Open)
	ask.Session, ask.Peer, ask.Client, ask.Data = session, peer, client, head
	return ask
}

// asked takes the first frame of a peer that has asked.
func (f *flow) asked(ask *Frame) { f.last, f.allowed = ask.Number, ask.Limit }
