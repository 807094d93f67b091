package abuse

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"ws-gateway/bench/load"
)

// Kinds of harm.
const (
	SlowHeads  = "slow-heads"
	SlowFrames = "slow-frames"
	Pings      = "pings"
	Fragments  = "fragments"
	Empty      = "empty"
	Churn      = "churn"
	Silent     = "silent"
	Stalled    = "stalled"
	Resets     = "resets"
	Noise      = "noise"
	Oversized  = "oversized"
)

// Users of the attackers' connections begin with one of these: an app should
// answer the messages of Loud ones, and only count those of Mute ones.
const (
	Loud = "loud-"
	Mute = "mute-"
)

// kind says how one kind of harm is done.
type kind struct {
	variants int  // connections take them in turn; 0 is 1
	loud     bool // its messages should be answered
	deaf     bool // nothing is read once the handshake is through
	receive  int  // size of the receive buffer, bytes; 0: the kernel's choice

	// bare tells which variants get no handshake before their moves; nil: none.
	bare func(variant int) bool

	// move is what a connection does when its turn comes.
	move func(c turn) move
}

// turn is what a move may depend on.
type turn struct {
	variant int
	n       int // moves made on this connection so far
	rand    *rand.Rand
}

// move is what is done on a connection: bytes to send, then what.
type move struct {
	send  []byte
	then  then
	count int // frames or requests among send
}

type then uint8

const (
	stay         then = iota
	reset             // close with a reset
	leave             // close with a FIN
	resetOnReply      // close with a reset when the answer begins to come
	vanish            // drop whatever comes, unread and unacknowledged, as a host does that is gone
)

// kinds is the table of all.
var kinds = map[string]kind{
	SlowHeads:  {bare: always, move: slowHead},
	SlowFrames: {move: slowFrame},
	Pings:      {move: ping},
	Fragments:  {move: fragment},
	Empty:      {move: empty},
	Churn:      {variants: 4, move: churn},
	Silent:     {variants: 2, deaf: true, move: silent},
	Stalled:    {deaf: true, receive: 4 << 10, move: stalled},
	Resets:     {variants: 7, loud: true, bare: func(v int) bool { return v < 3 }, move: resetAtStage},
	Noise:      {variants: 4, bare: func(v int) bool { return v < 2 }, move: noise},
	Oversized:  {variants: 6, bare: func(v int) bool { return v < 2 }, move: oversized},
}

// Kinds names all kinds.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// UserOf is the user name of an attacker's connections.
func UserOf(name string) string {
	if kinds[name].loud {
		return Loud + name
	}
	return Mute + name
}

func kindOf(name string) (kind, error) {
	k, known := kinds[name]
	if !known {
		return kind{}, fmt.Errorf("abuse: there is no kind %q; there are: %s", name, strings.Join(Kinds(), ", "))
	}
	k.variants = max(1, k.variants)
	if k.bare == nil {
		k.bare = func(int) bool { return false }
	}
	return k, nil
}

func always(int) bool { return true }

// A request head that never ends: its last line comes again and again.
const (
	headStart = "GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n"
	headLine  = "X-Filler: abcdefgh\r\n"
)

// slowHead sends a request head byte by byte, without an end.
func slowHead(t turn) move {
	if t.n < len(headStart) {
		return move{send: []byte{headStart[t.n]}}
	}
	return move{send: []byte{headLine[(t.n-len(headStart))%len(headLine)]}}
}

// slowFrame announces a message of 64 KiB and sends it byte by byte.
func slowFrame(t turn) move {
	if t.n == 0 {
		return move{send: load.AppendHeader(nil, fin|opBinary, 64<<10, true), count: 1}
	}
	return move{send: []byte{'a'}}
}

// inBatch is how many small frames go into one write, so that the attacker costs
// less than what it attacks.
const inBatch = 64

var pings = repeat(inBatch, fin|opPing, "are you there?")

func ping(turn) move { return move{send: pings, count: inBatch} }

// inMessage is how many fragments of one byte make a message.
const inMessage = 16 * inBatch

var (
	continuations  = repeat(inBatch, opContinuation, "a")
	firstFragments = append(repeat(1, opText, "a"), repeat(inBatch-1, opContinuation, "a")...)
	lastFragments  = append(repeat(inBatch-1, opContinuation, "a"), repeat(1, fin|opContinuation, "a")...)
)

func fragment(t turn) move {
	switch t.n % (inMessage / inBatch) {
	case 0:
		return move{send: firstFragments, count: inBatch}
	case inMessage/inBatch - 1:
		return move{send: lastFragments, count: inBatch}
	default:
		return move{send: continuations, count: inBatch}
	}
}

var empties = append(repeat(4, fin|opText, ""), repeat(4, fin|opBinary, "")...)

func empty(turn) move { return move{send: empties, count: 8} }

var onePing = repeat(1, fin|opPing, "I am well")

// stalled shows that it is alive, and reads nothing.
func stalled(turn) move { return move{send: onePing, count: 1} }

var (
	goodbye      = repeat(1, fin|opClose, "\x03\xe8done")
	helloGoodbye = append(repeat(1, fin|opText, `{"event":"hello"}`), goodbye...)
)

// churn ends a connection as soon as it is open, in four ways.
func churn(t turn) move {
	switch t.variant {
	case 0:
		return move{send: goodbye, then: leave, count: 1}
	case 1:
		return move{send: helloGoodbye, then: leave, count: 2}
	case 2:
		return move{then: reset}
	default:
		return move{then: leave}
	}
}

// silent says nothing any more: every second one is not even there.
func silent(t turn) move {
	if t.variant == 1 && t.n == 0 {
		return move{then: vanish}
	}
	return move{}
}

var (
	halfHead   = []byte(headStart + headLine)
	halfFrame  = repeat(1, fin|opBinary, strings.Repeat("x", 1_000))[:500]
	bigMessage = append(append([]byte(nil), pings...), repeat(1, fin|opText, `"`+strings.Repeat("reply ", 5_000)+`"`)...)
)

// resetAtStage cuts a connection off: before the request, within it, behind it,
// after the upgrade, within a frame, before and within replies.
func resetAtStage(t turn) move {
	switch t.variant {
	case 0:
		return move{then: reset}
	case 1:
		return move{send: halfHead, then: reset, count: 1}
	case 2:
		return move{send: request(Loud + Resets), then: reset, count: 1}
	case 3:
		return move{then: reset}
	case 4:
		return move{send: halfFrame, then: reset, count: 1}
	case 5:
		return move{send: bigMessage, then: reset, count: inBatch + 1}
	default:
		if t.n > 0 { // the reply has not come yet
			return move{then: resetOnReply}
		}
		return move{send: bigMessage, then: resetOnReply, count: inBatch + 1}
	}
}

// noise sends bytes at random: as a handshake, as a handshake with some bytes
// changed, behind the handshake, as payloads of frames.
func noise(t turn) move {
	switch t.variant {
	case 0, 2:
		return move{send: randomBytes(t.rand, 1+t.rand.IntN(1_000)), count: 1}
	case 1:
		head := request(Mute + Noise)
		for range 1 + t.rand.IntN(5) {
			head[t.rand.IntN(len(head))] = byte(t.rand.Uint32())
		}
		return move{send: head, count: 1}
	default:
		first := byte(t.rand.Uint32())
		if t.n == 0 && t.rand.IntN(2) == 0 {
			first = fin | opText // the payload is to blame then
		}
		return move{send: repeat(1, first, string(randomBytes(t.rand, t.rand.IntN(300)))), count: 1}
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var (
	hugeHead     = []byte(headStart + strings.Repeat(headLine, 4_000))
	partOfHead   = []byte(strings.Repeat(headLine, 100))
	hugePart     = repeat(1, opBinary, strings.Repeat("x", 64<<10))
	hugeNextPart = repeat(1, opContinuation, strings.Repeat("x", 64<<10))
	twoMegabytes = append(load.AppendHeader(nil, fin|opBinary, 2<<20, true), make([]byte, 1_000)...)
	nineExabytes = append(load.AppendHeader(nil, fin|opText, 1<<63-1, true), make([]byte, 1_000)...)
	longPing     = repeat(1, fin|opPing, strings.Repeat("x", 126))
)

// oversized sends more than is allowed: of a head at once and bit by bit, of a
// message as announced and in fragments, of a control frame.
func oversized(t turn) move {
	switch t.variant {
	case 0:
		return first(t, hugeHead)
	case 1:
		if t.n == 0 {
			return move{send: []byte(headStart), count: 1}
		}
		return move{send: partOfHead}
	case 2:
		return first(t, twoMegabytes)
	case 3:
		return first(t, nineExabytes)
	case 4:
		if t.n == 0 {
			return move{send: hugePart, count: 1}
		}
		return move{send: hugeNextPart, count: 1}
	default:
		return first(t, longPing)
	}
}

// first sends something once and then waits for what comes of it.
func first(t turn, send []byte) move {
	if t.n > 0 {
		return move{}
	}
	return move{send: send, count: 1}
}
