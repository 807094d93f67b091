package relay

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"ws-gateway/cluster/packet"
)

// Two flows exchange bytes by a schedule: what must hold is that all arrive in order, and
// that neither side ever holds more than a window.
func TestFlowsCarryAllBytesInOrderWithinTheWindow(t *testing.T) {
	for seed := range uint64(30) {
		bytesOf := rand.NewChaCha8([32]byte{byte(seed)})
		random := rand.New(bytesOf)
		var flows [2]flow
		var queues [2][]Frame
		var sent, got [2]bytes.Buffer
		var writing [2][]byte
		ask := flows[0].ask([]byte("id"), []byte("head"), clientAddr, clientAddr.Addr())
		flows[1].asked(&ask)
		check := func(err error) {
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		queues[1] = append(queues[1], flows[1].frame(nil, Open))
		for step := range 1000 {
			side := random.IntN(2)
			f := &flows[side]
			switch random.IntN(4) {
			case 0:
				if room := f.room(); room > 0 && step < 900 {
					data := make([]byte, random.IntN(min(room, chunk))+1)
					bytesOf.Read(data)
					sent[side].Write(data)
					queues[side] = append(queues[side], f.frame(data, Open))
				}
			case 1:
				if q := queues[1-side]; len(q) > 0 {
					check(f.receive(&q[0]))
					if random.IntN(10) == 0 {
						check(f.receive(&q[0])) // it comes twice
					}
					queues[1-side] = q[1:]
				}
			default:
				if len(writing[side]) == 0 {
					writing[side] = append(writing[side], f.next(nil)...)
				}
				n := random.IntN(len(writing[side]) + 1)
				got[1-side].Write(writing[side][:n])
				writing[side] = writing[side][n:]
				if f.wrote(n) || random.IntN(50) == 0 {
					queues[side] = append(queues[side], f.frame(nil, Open))
				}
			}
			if n := f.unwritten(); n > Window {
				t.Fatalf("seed %d: %d bytes are held", seed, n)
			}
		}
		for side := range flows {
			for _, in := range queues[1-side] {
				check(flows[side].receive(&in))
			}
			got[1-side].Write(writing[side])
			got[1-side].Write(flows[side].next(nil))
			if !bytes.Equal(got[1-side].Bytes(), sent[1-side].Bytes()) || sent[side].Len() < 2*Window {
				t.Fatalf("seed %d: %d of %d bytes, or others", seed, got[1-side].Len(), sent[1-side].Len())
			}
		}
	}
}

func TestWhatNoEndSendsIsAnError(t *testing.T) {
	fresh := func() *flow {
		f := new(flow)
		f.asked(&Frame{Number: 1, Limit: Window})
		f.frame(nil, Open)
		return f
	}
	for _, test := range []struct {
		frames []Frame
		want   error
	}{
		{[]Frame{{Number: 3}}, errGap},
		{[]Frame{{Number: 2, Data: make([]byte, Window)}, {Number: 3, Data: []byte("x")}}, errOverrun},
		{[]Frame{{Number: 2, Close: Finished}, {Number: 3, Data: []byte("x")}}, errAfter},
		{[]Frame{{Number: 2, Limit: 1}, {Number: 2, Limit: 1 << 40}, {Number: 3}}, nil},
	} {
		f := fresh()
		var err error
		for i := range test.frames {
			err = errors.Join(err, f.receive(&test.frames[i]))
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.frames, err, test.want)
		}
		if f.room() != Window { // a smaller limit takes nothing back
			t.Errorf("room for %d", f.room())
		}
	}
}

// The bytes of frames, which other versions must be able to read.
func TestFramesAreWrittenByteForByte(t *testing.T) {
	for want, f := range map[string]Frame{
		"0101010203808004" + "0402696405" + "0e" + fmt.Sprintf("%x", "192.0.2.1:4711") + fmt.Sprintf("%x", "GET /ws"):              {Number: 1, Limit: Window, Session: []byte("id"), Peer: clientAddr, Client: clientAddr.Addr(), Data: []byte("GET /ws")},
		"0101010203808004" + "0402696405" + "0e" + fmt.Sprintf("%x", "192.0.2.1:4711") + "060b" + fmt.Sprintf("%x", "2001:db8::7"): {Number: 1, Limit: Window, Session: []byte("id"), Peer: clientAddr, Client: netip.MustParseAddr("2001:db8::7")},
		"0101070203808004" + "6869":   {Number: 7, Limit: Window, Data: []byte("hi")},
		"010108020380800403" + "0101": {Number: 8, Limit: Window, Close: Finished},
		"030102":                      {Close: Missed},
		"030105":                      {Close: Unknown},
	} {
		body, fields := f.Append(nil)
		if got := fmt.Sprintf("%x", body); got != want {
			t.Errorf("%+v is %s, want %s", f, got, want)
		}
		read, err := Read(body, uint32(fields))
		if len(read.Data) == 0 {
			read.Data = nil
		}
		if err != nil || !reflect.DeepEqual(read, f) {
			t.Errorf("%s is read as %+v, %v", want, read, err)
		}
	}
}

func TestFieldsOfALaterVersionAreSkipped(t *testing.T) {
	body := packet.AppendNumber(nil, tagNumber, 5)
	body = packet.AppendField(body, 200, "x")
	body = packet.AppendNumber(body, tagClose, 1<<40)
	if f, err := Read(body, uint32(len(body))); err != nil || f.Number != 5 || !f.Close.Ends() {
		t.Errorf("%+v, %v", f, err)
	}
}

// Whatever comes, an End takes it or ends.
func FuzzFrames(f *testing.F) {
	for _, frame := range []Frame{
		{Number: 1, Limit: Window, Session: []byte("id"), Peer: clientAddr, Client: netip.MustParseAddr("2001:db8::7"), Data: []byte("GET")},
		{Number: 2, Limit: Window, Data: []byte("hi")}, {Number: 3, Close: Finished}, {Close: Broken},
	} {
		body, fields := frame.Append(nil)
		f.Add(body, uint32(fields), uint64(1))
	}
	f.Fuzz(func(t *testing.T, body []byte, fields uint32, last uint64) {
		frame, err := Read(body, fields)
		if err != nil {
			return
		}
		again, n := frame.Append(nil)
		if twice, err := Read(again, uint32(n)); err != nil || !reflect.DeepEqual(twice, frame) {
			t.Fatalf("%+v is read as %+v, %v", frame, twice, err)
		}
		fl := flow{last: last}
		fl.frame(nil, Open)
		if fl.receive(&frame) == nil && (fl.unwritten() > Window || fl.room() < 0) {
			t.Errorf("%+v makes %+v", frame, fl)
		}
	})
}
