package netpoll

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestAFrameIsWhatGobwasWouldHaveWritten(t *testing.T) {
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary, ws.OpPing, ws.OpPong} {
		for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000, 1 << 20} {
			if op.IsControl() && n > ws.MaxControlFramePayloadSize {
				continue
			}
			payload := bytes.Repeat([]byte{'x'}, n)
			f := NewFrame(op, payload)
			if want := ws.MustCompileFrame(ws.NewFrame(op, true, payload)); !bytes.Equal(f.bytes(), want) {
				t.Errorf("opcode %d, %d bytes: header % x, want % x", op, n, f.bytes()[:2], want[:2])
			}
			if f.Len() != len(f.bytes()) {
				t.Errorf("opcode %d, %d bytes: Len %d, encoded %d", op, n, f.Len(), len(f.bytes()))
			}
		}
	}
}

func TestAFrameKeepsACopyOfItsPayload(t *testing.T) {
	payload := []byte("before")
	f := NewFrame(ws.OpText, payload)
	copy(payload, "after!")
	if got := string(f.bytes()[2:]); got != "before" {
		t.Errorf("payload is %q after the caller changed its own", got)
	}
}

func TestACloseFrameHoldsCodeAndReasonWithinBounds(t *testing.T) {
	for _, c := range []struct {
		code   ws.StatusCode
		reason string
		want   string
	}{
		{1000, "", "\x88\x02\x03\xe8"},
		{4001, "bye", "\x88\x05\x0f\xa1bye"},
		{1005, "", "\x88\x00"},
		{1005, "must not appear", "\x88\x00"},
		{1000, strings.Repeat("x", 123), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		{1000, strings.Repeat("x", 124), "\x88\x7d\x03\xe8" + strings.Repeat("x", 123)},
		{1000, strings.Repeat("x", 122) + "é", "\x88\x7c\x03\xe8" + strings.Repeat("x", 122)},
	} {
		if got := string(NewCloseFrame(c.code, c.reason).bytes()); got != c.want {
			t.Errorf("close %d %.20q: got %q, want %q", c.code, c.reason, got, c.want)
		}
	}
}

func TestTheLengthOfAServerFrameIsReadBackFromItsHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000, 1 << 20} {
		head := appendFrameHeader([]byte("behind"), ws.OpText, n)[len("behind"):]
		for cut := range head {
			if got, ok := serverFrameLen(head[:cut]); ok {
				t.Errorf("%d bytes: %d bytes of the header give a length of %d", n, cut, got)
			}
		}
		if got, ok := serverFrameLen(head); !ok || got != len(head)+n {
			t.Errorf("%d bytes: length %d, %v; want %d", n, got, ok, len(head)+n)
		}
	}
}

func TestFrameHeadersAreAppendedWithoutAllocation(t *testing.T) {
	buf := make([]byte, 0, maxServerHeader)
	if n := testing.AllocsPerRun(100, func() {
		h := appendFrameHeader(buf, ws.OpText, 1<<20)
		if _, ok := serverFrameLen(h); !ok {
			t.Error("header not read back")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
