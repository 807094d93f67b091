package wire

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
			f := EncodeFrame(op, payload)
			if want := ws.MustCompileFrame(ws.NewFrame(op, true, payload)); !bytes.Equal(f.Bytes(), want) {
				t.Errorf("opcode %d, %d bytes: header % x, want % x", op, n, f.Bytes()[:2], want[:2])
			}
			if f.Len() != len(f.Bytes()) || f.OpCode() != op || !bytes.Equal(f.Payload(), payload) {
				t.Errorf("opcode %d, %d bytes: Len %d, encoded %d, opcode %d, payload %d bytes", op, n, f.Len(), len(f.Bytes()), f.OpCode(), len(f.Payload()))
			}
		}
	}
}

func TestAFrameKeepsACopyOfItsPayload(t *testing.T) {
	payload := []byte("before")
	f := EncodeFrame(ws.OpText, payload)
	copy(payload, "after!")
	if got := string(f.Bytes()[2:]); got != "before" {
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
		f := EncodeCloseFrame(c.code, c.reason)
		if got := string(f.Bytes()); got != c.want {
			t.Errorf("close %d %.20q: got %q, want %q", c.code, c.reason, got, c.want)
		}
	}
}

func TestTheLengthOfAServerFrameIsReadBackFromItsHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000, 1 << 20} {
		head := AppendFrameHeader([]byte("behind"), ws.OpText, n)[len("behind"):]
		for cut := range head {
			if got, ok := ServerFrameLen(head[:cut]); ok {
				t.Errorf("%d bytes: %d bytes of the header give a length of %d", n, cut, got)
			}
		}
		if got, ok := ServerFrameLen(head); !ok || got != len(head)+n {
			t.Errorf("%d bytes: length %d, %v; want %d", n, got, ok, len(head)+n)
		}
	}
}

func TestFrameHeadersAreAppendedWithoutAllocation(t *testing.T) {
	buf := make([]byte, 0, MaxServerHeader)
	if n := testing.AllocsPerRun(100, func() {
		h := AppendFrameHeader(buf, ws.OpText, 1<<20)
		if _, ok := ServerFrameLen(h); !ok {
			t.Error("header not read back")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendFrameHeader(b *testing.B) {
	for name, n := range map[string]int{"small": 64, "medium": 4 << 10, "large": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, MaxServerHeader)
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendFrameHeader(buf[:0], ws.OpText, n)
			}
		})
	}
}

func TestAFrameIsCompressedOnlyForThoseItWasCompressedFor(t *testing.T) {
	var d Deflater
	f := EncodeFrame(ws.OpText, sampleJSON(2000))
	plain := f.Memory()
	f.Compress(&d, DeflateParams{WindowBits: 9})
	for bits := uint8(0); bits <= MaxWindowBits; bits++ {
		b := f.BytesFor(DeflateParams{WindowBits: bits})
		if compressed := b[0] == 0xC1; compressed != (bits == 9) || compressed && len(b) >= f.Len() {
			t.Errorf("%d bits: compressed %v, %d of %d bytes", bits, compressed, len(b), f.Len())
		}
	}
	if b := f.BytesFor(DeflateParams{WindowBits: 9}); f.Memory() != plain+cap(b)+(MaxWindowBits+1)*24 {
		t.Errorf("%d bytes of memory, %d of them compressed, %d without", f.Memory(), cap(b), plain)
	}
}

func TestWhatDoesNotBecomeShorterIsAppendedToNothing(t *testing.T) {
	var d Deflater
	p := DeflateParams{WindowBits: MaxWindowBits}
	if out, ok := AppendCompressedFrame([]byte("before"), &d, p, ws.OpBinary, []byte("\x01\x02")); ok || string(out) != "before" {
		t.Errorf("got %q, %v", out, ok)
	}
	f := EncodeFrame(ws.OpBinary, []byte("\x01\x02"))
	f.Compress(&d, p)
	if b := f.BytesFor(p); !bytes.Equal(b, f.Bytes()) {
		t.Errorf("sent as %q", b)
	}
}
