package wire

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

func TestHeadersOfClientFramesAreDecoded(t *testing.T) {
	mask := [4]byte{1, 2, 3, 4}
	for _, c := range []struct {
		name string
		in   string
		want ws.Header
	}{
		{"empty text", "\x81\x80\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpText, Mask: mask, Length: 0}},
		{"first fragment", "\x01\x85\x01\x02\x03\x04", ws.Header{Masked: true, OpCode: ws.OpText, Mask: mask, Length: 5}},
		{"continuation", "\x00\x85\x01\x02\x03\x04", ws.Header{Masked: true, OpCode: ws.OpContinuation, Mask: mask, Length: 5}},
		{"last fragment", "\x80\x85\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpContinuation, Mask: mask, Length: 5}},
		{"binary of 125", "\x82\xfd\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 125}},
		{"binary of 126", "\x82\xfe\x00\x7e\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 126}},
		{"binary of 65535", "\x82\xfe\xff\xff\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 65535}},
		{"binary of 65536", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 65536}},
		{"binary of 4 GiB and 1", "\x82\xff\x00\x00\x00\x01\x00\x00\x00\x01\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 1<<32 + 1}},
		{"the longest there is", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpBinary, Mask: mask, Length: 1<<63 - 1}},
		{"close", "\x88\x82\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpClose, Mask: mask, Length: 2}},
		{"ping of 125", "\x89\xfd\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpPing, Mask: mask, Length: 125}},
		{"pong", "\x8a\x80\x01\x02\x03\x04", ws.Header{Fin: true, Masked: true, OpCode: ws.OpPong, Mask: mask, Length: 0}},
	} {
		for cut := range len(c.in) {
			if _, n, v := DecodeHeader([]byte(c.in[:cut]), false); n != 0 || v != nil {
				t.Errorf("%s: %d bytes are taken for a header: n %d, %v", c.name, cut, n, v)
			}
		}
		h, n, v := DecodeHeader([]byte(c.in+"payload"), false)
		if h != c.want || n != len(c.in) || v != nil {
			t.Errorf("%s: got %+v, %d, %v; want %+v, %d", c.name, h, n, v, c.want, len(c.in))
		}
	}
}

func TestAViolationIsReportedWithTheByteThatMakesItOne(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string // its last byte is the offending one
		want *Violation
	}{
		{"RSV1", "\xc1", errReservedBits},
		{"RSV2", "\xa1", errReservedBits},
		{"RSV3", "\x91", errReservedBits},
		{"RSV1 on a continuation", "\x40", errReservedBits},
		{"opcode 3", "\x83", errReservedOpCode},
		{"opcode 7 in pieces", "\x07", errReservedOpCode},
		{"opcode 11", "\x8b", errReservedOpCode},
		{"opcode 15", "\x8f", errReservedOpCode},
		{"close in pieces", "\x08", errControlPieces},
		{"ping in pieces", "\x09", errControlPieces},
		{"pong in pieces", "\x0a", errControlPieces},
		{"unmasked text", "\x81\x05", errUnmasked},
		{"unmasked ping", "\x89\x00", errUnmasked},
		{"ping of 126", "\x89\xfe", errControlLength},
		{"close of 64 bit length", "\x88\xff", errControlLength},
		{"125 in 16 bits", "\x81\xfe\x00\x7d", errLengthForm},
		{"0 in 16 bits", "\x81\xfe\x00\x00", errLengthForm},
		{"less than 65536 in 64 bits", "\x81\xff\x00\x00\x00\x00\x00\x00", errLengthForm},
		{"top bit of the length", "\x82\xff\x80", errLengthSign},
	} {
		for cut := range len(c.in) {
			if _, n, v := DecodeHeader([]byte(c.in[:cut]), false); n != 0 || v != nil {
				t.Errorf("%s: after %d bytes already: n %d, %v", c.name, cut, n, v)
			}
		}
		for _, rest := range []string{"", "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
			if _, n, v := DecodeHeader([]byte(c.in+rest), false); v != c.want || n != 0 {
				t.Errorf("%s, %d bytes behind it: n %d, %v; want %v", c.name, len(rest), n, v, c.want)
			}
		}
		if c.want.Code != ws.StatusProtocolError || len(c.want.Reason) > maxReason {
			t.Errorf("%s is answered with %d %q", c.name, c.want.Code, c.want.Reason)
		}
	}
}

func TestOnlyTheFirstFrameOfADataMessageMayHaveRSV1AndOnlyIfThatWasAgreedOn(t *testing.T) {
	for first := range 256 {
		op, rsv := ws.OpCode(first&0x0F), byte(first>>4&7)
		b := []byte{byte(first), 0x80, 1, 2, 3, 4}
		h, n, v := DecodeHeader(b, true)
		if rsv == rsv1 && (op == ws.OpText || op == ws.OpBinary) {
			if v != nil || n != len(b) || !h.Rsv1() || h.OpCode != op || h.Fin != (first&0x80 != 0) {
				t.Errorf("%02x: got %+v, %d, %v", first, h, n, v)
			}
			if _, _, v := DecodeHeader(b[:1], false); v != errReservedBits {
				t.Errorf("%02x, not agreed on: %v", first, v)
			}
			continue
		}
		if rsv != 0 {
			if _, _, v := DecodeHeader(b[:1], true); v != errReservedBits {
				t.Errorf("%02x: %v after the first byte", first, v)
			}
		}
		if plain, n2, v2 := DecodeHeader(b, false); h != plain || n != n2 || v != v2 || v == nil && h.Rsv1() {
			t.Errorf("%02x: got %+v, %d, %v; without the extension %+v, %d, %v", first, h, n, v, plain, n2, v2)
		}
	}
}

func TestHeadersAreDecodedWithoutAllocation(t *testing.T) {
	long := []byte("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04")
	bad := []byte("\x81\x05")
	if n := testing.AllocsPerRun(100, func() {
		if _, n, _ := DecodeHeader(long, false); n == 0 {
			t.Error("header not decoded")
		}
		if _, _, v := DecodeHeader(bad, false); v == nil {
			t.Error("violation not seen")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The loop unmasks with gobwas' Cipher, in pieces and at any alignment.
func TestGobwasCipherUnmasksInPieces(t *testing.T) {
	mask := [4]byte{0xA5, 0x01, 0xFF, 0x3C}
	for size := range 200 {
		want, got := make([]byte, size), make([]byte, size+8)
		for i := range want {
			want[i] = byte(i * 7)
		}
		for cut := 0; cut <= size; cut += 1 + size/9 {
			b := got[size%8:][:size]
			for i := range b {
				b[i] = want[i] ^ mask[i%4]
			}
			ws.Cipher(b[:cut], mask, 0)
			ws.Cipher(b[cut:], mask, cut&3)
			if !bytes.Equal(b, want) {
				t.Fatalf("%d bytes, cut at %d: unmasked wrongly", size, cut)
			}
		}
	}
}

// FuzzDecodeHeader compares with gobwas, which pulls, and knows nothing of the
// shortest form.
func FuzzDecodeHeader(f *testing.F) {
	for _, seed := range []string{
		"", "\x81", "\x81\x80\x01\x02\x03\x04", "\x82\xfe\x00\x7e\x01\x02\x03\x04", "\x81\xfe\x00\x7d\x01\x02\x03\x04",
		"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04", "\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00\x01\x02\x03\x04",
		"\x89\xfe", "\xf1\x80\x00\x00\x00\x00", "\x08\x80\x00\x00\x00\x00", "\x81\x05hello",
		"\x88\xfe\x00000000",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, v := DecodeHeader(b, false)
		if n > len(b) || n > ws.MaxHeaderSize || v != nil && n != 0 {
			t.Fatalf("% x: n %d, %v", b, n, v)
		}
		if n == 0 && v == nil && len(b) >= ws.MaxHeaderSize {
			t.Fatalf("% x: wants more than the longest header", b)
		}
		settled := false
		for cut := range len(b) {
			_, n2, v2 := DecodeHeader(b[:cut], false)
			if settled = settled || n2 > 0 || v2 != nil; settled && (n2 != n || v2 != v) {
				t.Fatalf("% x: %d bytes give %d, %v; all of it %d, %v", b, cut, n2, v2, n, v)
			}
		}

		r := bytes.NewReader(b)
		theirs, err := ws.ReadHeader(r)
		consumed := len(b) - r.Len()
		if err == nil {
			err = ws.CheckHeader(theirs, ws.StateServerSide)
			if theirs.OpCode == ws.OpContinuation { // fragmentation is not the header's affair
				err = ws.CheckHeader(theirs, ws.StateServerSide|ws.StateFragmented)
			}
		} else if err != ws.ErrHeaderLengthMSB {
			if n != 0 {
				t.Fatalf("% x: header of %d bytes, where gobwas finds none: %v", b, n, err)
			}
			return
		}
		switch {
		case n > 0 && err != nil:
			t.Fatalf("% x: taken, but gobwas: %v", b, err)
		case n > 0:
			if h != theirs || n != consumed {
				t.Fatalf("% x: %+v in %d bytes, gobwas %+v in %d", b, h, n, theirs, consumed)
			}
		case v == nil:
			t.Fatalf("% x: wants more, where gobwas has a header", b)
		case err == nil && v != errLengthForm && (v != errControlLength || theirs.Length > ws.MaxControlFramePayloadSize):
			// Of a control frame no longer form is the shortest: that shows a byte
			// before its length does.
			t.Fatalf("% x: refused as %q, but gobwas takes it", b, v.Reason)
		}
	})
}

func BenchmarkDecodeHeader(b *testing.B) {
	in := []byte("\x81\xc0\x01\x02\x03\x04payload")
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _ := DecodeHeader(in, false); n == 0 {
			b.Fatal("header not decoded")
		}
	}
}
