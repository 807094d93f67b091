package members

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ws-gateway/cluster/packet"
)

// ID is an instance's own number, which it draws when it starts: two starts of one
// gateway are two instances.
type ID = packet.Instance

// Heartbeat is what an instance says of itself each second.
type Heartbeat struct {
	ID      ID     // the sender of the packet; no field of it
	Makes   ID     // the number with which the ids of its connections begin: ID, or that of an earlier run whose sessions it has
	Name    string // that people know it by: see CheckName
	Program string // its version, for people: like a name
	Wire    uint8  // the highest version of packets that it understands
	State   State
	Up      time.Duration // how long it has run
	Told    Told

	Connections, Users, Groups, Loops uint64

	Lag time.Duration // of its loops, the longest

	Relays bool // it resumes sessions of its own for clients of the others: see package relay

	// Returns is for how long clients should wait for its next run, which has its sessions; 0:
	// it does not end, or for good.
	Returns time.Duration

	// Knows is its Members' Digest, once it knows that there are no others; 0: it does not know
	// yet, or does not say.
	Knows uint64

	// Links is how often its link has come up. If that changes, something that it has sent may
	// be lost, and it has ended its relays.
	Links uint64
}

// Told is the digest of the names that an instance has told: see package interest.
type Told struct{ Version, Count, Sum uint64 }

// State says what an instance does. A later version may have other states.
type State uint8

const (
	Serving  State = 1
	Draining State = 2 // it ends its connections, and takes no new ones
)

// The fields of a heartbeat. One that is not there is zero. Durations are milliseconds.
const (
	tagName packet.Tag = 1 + iota
	tagProgram
	tagWire
	tagState
	tagUp
	tagToldVersion
	tagToldCount
	tagToldSum
	tagConnections
	tagUsers
	tagGroups
	tagLoops
	tagLag
	tagRelays
	tagReturns
	tagLinks
	tagKnows
)

// tagMakes is beside these: it is there only if it is not the ID.
const tagMakes packet.Tag = 64

// AppendFields appends the heartbeat to the fields of a packet.
func (h *Heartbeat) AppendFields(f packet.Fields) packet.Fields {
	f = packet.AppendField(f, tagName, h.Name)
	f = packet.AppendField(f, tagProgram, h.Program)
	if h.Makes != h.ID && h.Makes != (ID{}) {
		f = packet.AppendField(f, tagMakes, h.Makes[:])
	}
	for i, n := range [...]uint64{
		uint64(h.Wire), uint64(h.State), milliseconds(h.Up), h.Told.Version, h.Told.Count, h.Told.Sum,
		h.Connections, h.Users, h.Groups, h.Loops, milliseconds(h.Lag), oneIf(h.Relays), milliseconds(h.Returns), h.Links, h.Knows,
	} {
		if n != 0 {
			f = packet.AppendNumber(f, tagWire+packet.Tag(i), n)
		}
	}
	return f
}

func oneIf(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func milliseconds(d time.Duration) uint64 { return uint64(max(0, d/time.Millisecond)) }

func duration(ms uint64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// ErrHeartbeat is returned for fields that are no heartbeat.
var ErrHeartbeat = errors.New("no heartbeat")

// ReadHeartbeat reads the heartbeat of an instance.
func ReadHeartbeat(id ID, f packet.Fields) (Heartbeat, error) {
	h := Heartbeat{ID: id, Makes: id}
	for tag, value := range f.All() {
		if err := h.read(tag, value); err != nil {
			return Heartbeat{}, err
		}
	}
	if err := CheckName(h.Name); err != nil {
		return Heartbeat{}, fmt.Errorf("%w: %w", ErrHeartbeat, err)
	}
	if h.Program != "" && CheckName(h.Program) != nil {
		return Heartbeat{}, fmt.Errorf("%w: the program's version cannot be printed", ErrHeartbeat)
	}
	return h, nil
}

func (h *Heartbeat) read(tag packet.Tag, value []byte) error {
	switch {
	case tag == tagName:
		h.Name = string(value)
		return nil
	case tag == tagProgram:
		h.Program = string(value)
		return nil
	case tag == tagMakes:
		if len(value) != len(h.Makes) {
			return fmt.Errorf("%w: field %d is no number of an instance", ErrHeartbeat, tag)
		}
		copy(h.Makes[:], value)
		return nil
	case tag < tagWire || tag > tagKnows:
		return nil // of a later version
	}
	n, ok := packet.Number(value)
	if !ok {
		return fmt.Errorf("%w: field %d is no number", ErrHeartbeat, tag)
	}
	switch tag {
	case tagWire:
		h.Wire = uint8(min(n, math.MaxUint8))
	case tagState:
		h.State = State(min(n, math.MaxUint8))
	case tagUp:
		h.Up = duration(n)
	case tagToldVersion:
		h.Told.Version = n
	case tagToldCount:
		h.Told.Count = n
	case tagToldSum:
		h.Told.Sum = n
	case tagConnections:
		h.Connections = n
	case tagUsers:
		h.Users = n
	case tagGroups:
		h.Groups = n
	case tagLoops:
		h.Loops = n
	case tagLag:
		h.Lag = duration(n)
	case tagRelays:
		h.Relays = n != 0
	case tagReturns:
		h.Returns = duration(n)
	case tagLinks:
		h.Links = n
	case tagKnows:
		h.Knows = n
	}
	return nil
}

// MaxName is the length of the longest name of an instance, in bytes.
const MaxName = 64

// CheckName returns an error unless name is 1 to MaxName bytes of UTF-8 that can be
// printed. Names are in logs, answers and metrics.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name of an instance is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the name of an instance has %d bytes, and may have %d", len(name), MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the name of an instance, %q, cannot be printed", name)
	default:
		return nil
	}
}
