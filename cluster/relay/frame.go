package relay

import (
	"fmt"
	"net/netip"

	"ws-gateway/cluster/packet"
)

// Frame is what one packet says of a relay.
type Frame struct {
	Number uint64 // from 1 on, in each direction; 0 in one that only ends the relay
	Limit  uint64 // how many bytes, since the beginning, may be sent in the other direction
	Close  Close
	Data   []byte

	// Of the first frame that asks for the relay; Data is the request head.
	Session []byte         // id of the session
	Peer    netip.AddrPort // of the client's connection
	Client  netip.Addr     // whose share the relay is: as Peer, or what a proxy says; of an older version Peer's
}

// Close says what ends with a frame.
type Close uint8

// The ways to end. A later version may have others, which end the relay.
const (
	Open     Close = 0 // nothing ends
	Finished Close = 1 // there are no more bytes in this direction; those in the other one go on
	Missed   Close = 2 // the relay: the session cannot be resumed, now or later
	Refused  Close = 3 // the relay: the instance takes none
	Broken   Close = 4 // the relay: a connection is lost, or something has got lost on the way
	Unknown  Close = 5 // the relay: there is none of this number

	Restarting Close = 6 // the relay: the instance restarts with its sessions, and takes none until then
	Busy       Close = 7 // the relay: the instance has no room for it at the moment, and does not say whether there is such a session
)

// Ends reports whether the relay ends, at once and in both directions.
func (c Close) Ends() bool { return c > Finished }

// The fields of a frame. One that is not there is zero.
const (
	tagNumber packet.Tag = 1 + iota
	tagLimit
	tagClose
	tagSession
	tagPeer
	tagClient
)

// Append appends the frame to a packet's body. fields is how many bytes of it are fields.
func (f *Frame) Append(body []byte) (_ []byte, fields int) {
	start := len(body)
	for i, n := range [...]uint64{f.Number, f.Limit, uint64(f.Close)} {
		if n != 0 {
			body = packet.AppendNumber(body, tagNumber+packet.Tag(i), n)
		}
	}
	if len(f.Session) > 0 {
		body = packet.AppendField(body, tagSession, f.Session)
		body = packet.AppendField(body, tagPeer, f.Peer.String())
		if f.Client.IsValid() && f.Client != f.Peer.Addr() {
			body = packet.AppendField(body, tagClient, f.Client.String())
		}
	}
	fields = len(body) - start
	return append(body, f.Data...), fields
}

// Overhead is how many bytes of a body are not Data, at most, in a frame without Session.
const Overhead = 2*(2+10) + 3

// AskBytes is how many bytes a body has, at most, that asks for a relay.
func AskBytes(session, head []byte) int { return Overhead + len(session) + len(head) + 3*(1+10) + 2*64 }

// Read reads the frame in a packet. Its slices are parts of body.
func Read(body []byte, fieldsLength uint32) (f Frame, err error) {
	fields, data, err := packet.Split(body, fieldsLength)
	if err != nil {
		return Frame{}, err
	}
	f.Data = data
	for tag, value := range fields.All() {
		if err := f.read(tag, value); err != nil {
			return Frame{}, err
		}
	}
	if len(f.Session) == 0 {
		f.Session, f.Peer, f.Client = nil, netip.AddrPort{}, netip.Addr{}
	} else if !f.Client.IsValid() {
		f.Client = f.Peer.Addr()
	}
	switch {
	case f.Number == 0 && !f.Close.Ends():
		return Frame{}, fmt.Errorf("%w: a frame of a relay without a number", packet.ErrMalformed)
	case len(f.Session) > 0 && (f.Number != 1 || !f.Peer.IsValid()):
		return Frame{}, fmt.Errorf("%w: a relay that does not begin", packet.ErrMalformed)
	}
	return f, nil
}

func (f *Frame) read(tag packet.Tag, value []byte) (err error) {
	switch tag {
	case tagSession:
		f.Session = value
		return nil
	case tagPeer:
		if f.Peer, err = netip.ParseAddrPort(string(value)); err != nil {
			return fmt.Errorf("%w: a client without an address", packet.ErrMalformed)
		}
		return nil
	case tagClient:
		if f.Client, err = netip.ParseAddr(string(value)); err != nil {
			return fmt.Errorf("%w: a client whose address is none", packet.ErrMalformed)
		}
		return nil
	case tagNumber, tagLimit, tagClose:
	default:
		return nil // of a later version
	}
	n, ok := packet.Number(value)
	if !ok {
		return fmt.Errorf("%w: field %d of a relay is no number", packet.ErrMalformed, tag)
	}
	switch tag {
	case tagNumber:
		f.Number = n
	case tagLimit:
		f.Limit = n
	default:
		f.Close = Close(min(n, 255))
	}
	return nil
}
