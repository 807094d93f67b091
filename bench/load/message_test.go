package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
)

// TestFramesAreWhatAnotherImplementationBuilds compares with gobwas, over the
// three forms of the length.
func TestFramesAreWhatAnotherImplementationBuilds(t *testing.T) {
	for _, size := range []int{16, 17, 18, 19, 125, 126, 65535, 65536} {
		m := bare(t, size)
		f := m.frames()
		for _, at := range [][2]uint32{{0, 0}, {1, 2}, {0xfedcba98, 0x76543210}, {19_000, 1 << 31}} {
			payload := []byte(fmt.Sprintf("%08x%08x", at[0], at[1]) + string(m.payload[16:]))
			var reply, request bytes.Buffer
			if err := ws.WriteFrame(&reply, ws.NewBinaryFrame(payload)); err != nil {
				t.Fatal(err)
			}
			if err := ws.WriteFrame(&request, ws.MaskFrameWith(ws.NewBinaryFrame(payload), mask)); err != nil {
				t.Fatal(err)
			}
			if got := f.answer(at[0], at[1]); !bytes.Equal(got, reply.Bytes()) {
				t.Errorf("size %d, %v: answer is %s", size, at, printable(got))
			}
			if got := f.ask(at[0], at[1]); !bytes.Equal(got, request.Bytes()) {
				t.Errorf("size %d, %v: request is %s", size, at, printable(got))
			}
		}
	}
}

func TestAnEventIsJSONOfExactlyItsSize(t *testing.T) {
	for _, size := range []int{59, 64, 65, 200, 5000} {
		m := event(t, size)
		f := m.frames()
		reply := f.answer(7, 0xabcdef)
		payload := reply[len(reply)-size:]
		var event struct {
			Event string
			Data  struct{ ID, Pad string }
		}
		if err := json.Unmarshal(payload, &event); err != nil {
			t.Fatalf("size %d: %v in %s", size, err, payload)
		}
		if event.Event != "bench" || event.Data.ID != "0000000700abcdef" {
			t.Errorf("size %d: got %+v", size, event)
		}
	}
}

func TestFramesAreMadeWithoutAllocation(t *testing.T) {
	m := event(t, 64)
	f := m.frames()
	n := testing.AllocsPerRun(100, func() {
		f.ask(1, 2)
		f.answer(1, 2)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestACloseFrameIsNamedAsOne(t *testing.T) {
	got := describe([]byte("\x88\x0e\x03\xf0ping timeout"))
	if got != `a close frame with 1008 "ping timeout"` {
		t.Errorf("got %s", got)
	}
	for _, cut := range []string{"", "\x88", "\x88\x02\x03", "\x88\x7d\x03\xf0a", "\x81\x01a"} {
		describe([]byte(cut))
	}
}

func TestAPingIsTheGatewaysAndAnEchoedOneAnybodys(t *testing.T) {
	f := Ping().frames()
	if got := f.answer(1, 2); string(got) != "\x81\x10"+`{"event":"pong"}` {
		t.Errorf("the answer is %s", printable(got))
	}
	want := ws.MaskFrameWith(ws.NewTextFrame([]byte(`{"event":"ping"}`)), mask)
	var frame bytes.Buffer
	if err := ws.WriteFrame(&frame, want); err != nil {
		t.Fatal(err)
	}
	if got := f.ask(1, 2); !bytes.Equal(got, frame.Bytes()) {
		t.Errorf("the frame is %s", printable(got))
	}
	if got := Echoed(Ping()).frames().answer(1, 2); string(got) != "\x81\x10"+`{"event":"ping"}` {
		t.Errorf("the echo is %s", printable(got))
	}
}

func TestAMessageIsReadBackOnlyWhenItIsTheSame(t *testing.T) {
	m := event(t, 80)
	payload := m.Append([]byte("before"), 0xfedcba98, 7)[len("before"):]
	if conn, seq, ok := m.Parse(payload); !ok || conn != 0xfedcba98 || seq != 7 || len(payload) != m.Size() {
		t.Errorf("got %x, %d, %v", conn, seq, ok)
	}
	for i := range payload {
		wrong := bytes.Clone(payload)
		wrong[i] ^= 0x40 // a hexadecimal digit becomes none
		if _, _, ok := m.Parse(wrong); ok {
			t.Errorf("with another byte %d it was taken", i)
		}
	}
	if _, _, ok := m.Parse(payload[1:]); ok {
		t.Error("a shorter one was taken")
	}
	if _, _, ok := Ping().Parse([]byte(`{"event":"ping"}`)); ok {
		t.Error("one without a mark was taken")
	}
}
