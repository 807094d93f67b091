package packet

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Version is what Append writes. Parse takes it and, once there is one, its predecessor.
const Version = 1

const (
	headBytes     = 72
	checksumBytes = 4

	// Overhead is how many bytes a packet has beside its body.
	Overhead = headBytes + checksumBytes

	// MaxFragments is into how many fragments a message may be cut.
	MaxFragments = math.MaxUint16 + 1
)

// Instance is one run of a gateway: the random number with which its connections' ids
// begin. The zero value is nobody, or everybody.
type Instance [8]byte

func (i Instance) String() string { return hex.EncodeToString(i[:]) }

// Kind says what a packet is for.
type Kind uint8

// The kinds below FirstOrdered are of the cluster itself, and a packet of them can get
// lost. From FirstOrdered on they are messages of a stream; package cluster names them.
const (
	Heartbeat    Kind = 1 // sender is alive; to everybody
	Acknowledge  Kind = 2 // sender has taken everything before Acknowledged
	Ask          Kind = 3 // the same, and something after it has arrived: send again from there
	Skip         Kind = 4 // what comes next from sender is Sequence; what was before it is given up
	Probe        Kind = 5 // sender has written everything before Sequence; what has the receiver taken?
	RelayForth   Kind = 6 // of the relay Request, from whoever has asked for it; only Request and Body count
	RelayBack    Kind = 7 // of the relay Request, to whoever has asked for it
	FirstOrdered Kind = 16
)

// Ordered reports whether packets of the kind are messages of a stream, with numbers.
func (k Kind) Ordered() bool { return k >= FirstOrdered }

const flagMore = 1

// Packet is a packet that has been read, or is to be written.
type Packet struct {
	Kind     Kind
	Sender   Instance
	Receiver Instance // whom it is for; zero for everybody

	// Sequence numbers the messages of a stream, upwards from wherever it begins, and
	// never from 0. In Skip it is the number that comes next; in Acknowledge, Ask and Probe
	// the first that sender has not written to its end; 0 if it has not begun.
	Sequence uint64
	// Acknowledged is the first number that sender has not taken yet from the stream that
	// comes from receiver; 0 if it knows nothing of one.
	Acknowledged uint64
	// Fragment is the fragment's number, from 0. In Acknowledge and Ask it is that of
	// the first fragment of Acknowledged that sender has not taken, in Probe that of the
	// first of Sequence that it has not written.
	Fragment uint16
	More     bool // further fragments of the message follow

	// Request pairs a call with its answers; 0 for none. In Skip it is the first number
	// of which the sender does not know that it was taken.
	Request uint64

	Stamp time.Duration // when it was written, on the sender's own clock
	Echo  time.Duration // what the receiver's clock must have been past then; 0 if unknown
	Age   time.Duration // how long the message had waited then, in whole milliseconds; at most 49 days

	// FieldsLength is how many bytes of the message's body are fields. In a first
	// fragment it may be more than there are in Body.
	FieldsLength uint32
	Body         []byte // fields and payload; a fragment of them if Fragmented
}

// Fragmented reports whether Body is a part of a message.
func (p *Packet) Fragmented() bool { return p.More || p.Kind.Ordered() && p.Fragment > 0 }

// What Parse finds wrong, beside a VersionError.
var (
	ErrNotAPacket = errors.New("not a packet of a ws-gateway")
	ErrDamaged    = errors.New("a damaged packet: its checksum is wrong")
	ErrMalformed  = errors.New("a malformed packet")
)

// VersionError is a packet of a version that this one does not speak.
type VersionError byte

func (v VersionError) Error() string {
	return fmt.Sprintf("a packet of version %d; this gateway speaks version %d", byte(v), Version)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the packet to dst. It takes p as it is: a Body must be as Split
// wants it, or a fragment of that.
func (p *Packet) Append(dst []byte) []byte {
	var flags byte
	if p.More {
		flags |= flagMore
	}
	start := len(dst)
	dst = append(dst, 'w', 's', 'g', Version, byte(p.Kind), flags)
	dst = binary.BigEndian.AppendUint16(dst, p.Fragment)
	dst = append(dst, p.Sender[:]...)
	dst = append(dst, p.Receiver[:]...)
	dst = binary.BigEndian.AppendUint64(dst, p.Sequence)
	dst = binary.BigEndian.AppendUint64(dst, p.Acknowledged)
	dst = binary.BigEndian.AppendUint64(dst, p.Request)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Stamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Echo))
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(max(0, p.Age.Milliseconds()), math.MaxUint32)))
	dst = binary.BigEndian.AppendUint32(dst, p.FieldsLength)
	dst = append(dst, p.Body...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// Len is how many bytes Append appends.
func (p *Packet) Len() int { return Overhead + len(p.Body) }

// Parse reads a packet. Its Body is a part of b. The body of a whole message can be
// split without an error. The checksum says that the packet is as somebody wrote it,
// not that who wrote it may be believed: a number in it can be any.
func Parse(b []byte) (p Packet, err error) {
	if len(b) < 4 || string(b[:3]) != "wsg" {
		return Packet{}, ErrNotAPacket
	}
	if b[3] != Version {
		return Packet{}, VersionError(b[3])
	}
	if len(b) < Overhead {
		return Packet{}, ErrDamaged
	}
	end := len(b) - checksumBytes
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return Packet{}, ErrDamaged
	}
	p = Packet{
		Kind:         Kind(b[4]),
		More:         b[5]&flagMore != 0,
		Fragment:     binary.BigEndian.Uint16(b[6:]),
		Sender:       Instance(b[8:16]),
		Receiver:     Instance(b[16:24]),
		Sequence:     binary.BigEndian.Uint64(b[24:]),
		Acknowledged: binary.BigEndian.Uint64(b[32:]),
		Request:      binary.BigEndian.Uint64(b[40:]),
		Stamp:        time.Duration(binary.BigEndian.Uint64(b[48:])),
		Echo:         time.Duration(binary.BigEndian.Uint64(b[56:])),
		Age:          time.Duration(binary.BigEndian.Uint32(b[64:])) * time.Millisecond,
		FieldsLength: binary.BigEndian.Uint32(b[68:]),
		Body:         b[headBytes:end:end],
	}
	return p, p.check()
}

// check refuses what no gateway writes.
func (p *Packet) check() error {
	switch {
	case p.Sender == Instance{}:
		return fmt.Errorf("%w: nobody has sent it", ErrMalformed)
	case p.Stamp < 0 || p.Echo < 0:
		return fmt.Errorf("%w: it is from before the start", ErrMalformed)
	case !p.Fragmented():
		_, _, err := Split(p.Body, p.FieldsLength)
		return err
	case !p.Kind.Ordered():
		return fmt.Errorf("%w: fragments of what has no number", ErrMalformed)
	case p.Fragment > 0 && p.FieldsLength > 0:
		return fmt.Errorf("%w: a later fragment says where the fields end", ErrMalformed)
	case len(p.Body) == 0:
		return fmt.Errorf("%w: an empty fragment", ErrMalformed)
	}
	return nil
}
