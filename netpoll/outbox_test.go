package netpoll

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
)

// taken drains o through next and wrote, n bytes at a time.
func taken(o *outbox, n int) (all []byte) {
	for o.bytes > 0 {
		b := o.next()
		b = b[:min(n, len(b))]
		all = append(all, b...)
		o.wrote(len(b))
	}
	return all
}

// recount counts anew what waits, and what it weighs.
func (o *outbox) recount() (bytes int, weight int64) {
	bytes = -o.off
	for i := o.head; i < len(o.segments); i++ {
		bytes += len(o.segments[i].b)
		weight += o.segments[i].weight()
	}
	return bytes, weight
}

func TestAnOutboxGivesBackEveryByteInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		var o outbox
		var want, got []byte
		for range 300 {
			f := NewFrame(ws.OpBinary, bytes.Repeat([]byte{byte(random.Int())}, random.IntN(200)*random.IntN(100)))
			switch b := f.wire.Bytes(); {
			case o.bytes == 0 && len(o.segments) == 0:
				written := random.IntN(len(b))
				o.begin(b, written, []*Frame{nil, f}[random.IntN(2)])
				want = append(want, b[written:]...)
			case random.IntN(2) == 0:
				o.share(b, f)
				want = append(want, b...)
			default:
				o.copy(b)
				want = append(want, b...)
			}
			for n := random.IntN(6000); n > 0 && o.bytes > 0; {
				b := o.next()
				b = b[:min(n, len(b))]
				got = append(got, b...)
				o.wrote(len(b))
				n -= len(b)
			}
			if o.bytes == 0 {
				o.reset()
			}
		}
		got = append(got, taken(&o, 1000)...)
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: %d bytes came out of %d, or others", round, len(got), len(want))
		}
	}
}

func TestACopiedFrameIsIndependentAndASharedOneIsNeverWrittenTo(t *testing.T) {
	shared := NewFrame(ws.OpText, []byte("shared by many")).wire.Bytes()
	before := bytes.Clone(shared)
	mine := bytes.Clone(NewFrame(ws.OpText, []byte("mine")).wire.Bytes())
	var o outbox
	o.begin(shared[:len(shared):cap(shared)], 3, new(Frame))
	o.copy(mine)
	want := append(bytes.Clone(shared[3:]), mine...)
	clear(mine)
	if got := taken(&o, 5); !bytes.Equal(got, want) || !bytes.Equal(shared, before) {
		t.Errorf("got %q, want %q; shared is %q", got, want, shared)
	}
}

func TestDroppingWholeFramesLeavesTheOneUnderWay(t *testing.T) {
	a, b, c := NewFrame(ws.OpText, []byte("first")).wire.Bytes(), NewFrame(ws.OpText, make([]byte, 300)).wire.Bytes(), NewFrame(ws.OpText, []byte("third")).wire.Bytes()
	corked := bytes.Join([][]byte{a, b, c}, nil)
	for written := range len(corked) {
		for _, shared := range []*Frame{nil, new(Frame)} {
			var o outbox
			o.begin(corked, written, shared)
			o.copy(c)
			o.share(b, new(Frame))
			waiting := o.bytes
			dropped := o.dropWhole()
			rest := taken(&o, 7)
			end := 0
			for _, f := range [][]byte{a, b, c} {
				if end < written {
					end += len(f)
				}
			}
			if want := corked[written:end]; !bytes.Equal(rest, want) || dropped != waiting-len(want) {
				t.Fatalf("after %d bytes, shared %v: %d bytes are left, %d dropped; want %d left", written, shared, len(rest), dropped, len(want))
			}
		}
	}
}

func TestTheAnswerToAHandshakeIsNeverCut(t *testing.T) {
	answer := append([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), NewFrame(ws.OpText, []byte("x")).wire.Bytes()...)
	var o outbox
	o.begin(answer, 5, nil)
	o.dropWhole()
	if got := taken(&o, 100); !bytes.Equal(got, answer[5:]) {
		t.Errorf("left: %q", got)
	}
}
