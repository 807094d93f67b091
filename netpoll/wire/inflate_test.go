package wire

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"ws-gateway/netpoll/internal/wiretest"
)

// The examples of RFC 7692, 7.2.3, and what follows from it.
func TestMessagesAreDecompressed(t *testing.T) {
	for _, c := range []struct{ name, payload, want string }{
		{"7.2.3.1, one fixed block", "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"7.2.3.3, no compression", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},
		{"7.2.3.4, final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
		{"7.2.3.5, two blocks with a flush between", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
		{"7.2.3.6, empty", "\x00", ""},
		{"empty, in a fixed block", "\x02\x00", ""},
		{"empty, in a final fixed block", "\x03\x00\x00", ""},
		{"empty, nothing at all", "", ""},
		{"flushes only", "\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff\x00", ""},
		{"flushes before and behind", "\x00\x00\x00\xff\xff\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00", "Hello"},
		{"two final blocks", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "HelloHello"},
		{"a final block before one that is not", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", "HelloHello"},
		{"final empty blocks", "\x03\x00\x03\x00\x03\x00\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"a stored final block", "\x01\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},
		{"the last empty block is final", "\xf2\x48\xcd\xc9\xc9\x07\x04", "Hello"},
		{"final block and no byte behind it", "\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"stored final block and no byte behind it", "\x01\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f", "Hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Inflater
			for range 2 {
				got, err := d.Append([]byte("before "), []byte(c.payload), int64(len(c.want)))
				if err != nil || string(got) != "before "+c.want {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
}

func TestWhatIsNotDeflateIsRefused(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	for _, c := range []struct{ name, payload string }{
		{"7.2.3.2, a reference to the message before", "\xf2\x00\x11\x00\x00"},
		{"block of type 3", "\x06"},
		{"block of type 3 behind a good one", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x06"},
		{"stored length that is not its complement", "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"},
		{"stored block that ends early", "\x00\x50\x00\xaf\xff\x48\x65\x6c\x6c\x6f"},
		{"the first bytes of a stored block", "\x00\x05"},
		{"garbage", "\xff\xff\xff\xff\xff\xff"},
		{"text", "Hello, this is not compressed at all"},
		{"the marker not removed", hello + syncMarker},
		{"garbage behind a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff"},
		{"final block that ends within the marker", "\x03"},
		{"final stored block whose content ends behind the marker", "\x01\x06\x00\xf9\xff"},
		{"stored block whose lengths are cut", "\x00\x00\x00"},
		{"padding behind a final block that goes on for a byte", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00\x00"},
		{"a reference across a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00" + "\xf2\x00\x11\x00\x00"},
		{"distance before the start", "\x02\x13\x00"},
		{"dynamic block without a code for the end", "\x04\x00\x00\x00"},
		{"too many codes", "\xfc\xff\x00\x00"},
		{"zlib, not raw", "\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00"},
		{"gzip, not raw", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Inflater
			before := []byte("before")
			out, err := d.Append(before, []byte(c.payload), 1000)
			if err != errNotDeflate || string(out) != "before" {
				t.Errorf("got %q, %v", out, err)
			}
			if out, err = d.Append(nil, []byte(hello), 5); err != nil || string(out) != "Hello" {
				t.Errorf("the message after it: %q, %v", out, err)
			}
		})
	}
}

func TestNothingOfOneMessageIsSeenInTheNext(t *testing.T) {
	var d Inflater
	secret := bytes.Repeat([]byte("secret "), 10_000)
	if _, err := d.Append(nil, wiretest.Deflate(t, secret, false), 1<<20); err != nil {
		t.Fatal(err)
	}
	// A literal, then a copy from each distance behind it.
	for _, payload := range []string{"\xf2\x00\x11\x00\x00", "\x4a\x84\x33\x00"} {
		if out, err := d.Append(nil, []byte(payload), 1<<20); err != errNotDeflate {
			t.Errorf("% x: %q, %v", payload, out, err)
		}
	}
}

func TestMessagesOfOtherCompressorsComeBack(t *testing.T) {
	var d Inflater
	for name, payload := range samplePayloads() {
		for _, final := range []bool{false, true} {
			compressed := wiretest.Deflate(t, payload, final)
			if got, err := d.Append(nil, compressed, int64(len(payload))); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%s, final %v: %d bytes of %d, %v", name, final, len(got), len(payload), err)
			}
			if len(payload) == 0 {
				continue
			}
			before := []byte("before")
			if got, err := d.Append(before, compressed, int64(len(payload)-1)); err != ErrInflatedTooBig || string(got) != "before" {
				t.Errorf("%s, final %v, limit one below: %d bytes, %v", name, final, len(got), err)
			}
		}
	}
}

func TestAMessageThatIsCutOffIsRefused(t *testing.T) {
	var d Inflater
	for _, payload := range [][]byte{[]byte("Hello"), sampleJSON(3000), bytes.Repeat([]byte("ab"), 10_000)} {
		for _, final := range []bool{false, true} {
			compressed := wiretest.Deflate(t, payload, final)
			for n := 1; n < len(compressed); n++ {
				// Of the standard library's final block, which is empty and stored,
				// the byte behind it, or the marker, may be missing.
				if missing := len(compressed) - n; final && (missing == 1 || missing == 1+len(syncMarker)) {
					continue
				}
				if out, err := d.Append(nil, compressed[:n], 1<<20); err != errNotDeflate {
					t.Errorf("%d bytes of %d: %d bytes, %v", n, len(compressed), len(out), err)
				}
			}
		}
	}
}

func TestABombIsNotInflatedBeyondTheLimit(t *testing.T) {
	const limit = 1 << 20
	bomb := wiretest.Deflate(t, make([]byte, 8*limit), false)
	var d Inflater
	// What would have to be read beyond the limit is spoilt: that it is not noticed
	// proves that it was not read.
	window := 32 << 10
	spoilt := bytes.Clone(bomb[:len(bomb)*(limit+2*window)/(8*limit)])
	spoilt = append(spoilt, bytes.Repeat([]byte{0xFF}, 100)...)
	scratch := make([]byte, 0, limit)
	out, err := d.Append(scratch, spoilt, limit)
	if err != ErrInflatedTooBig || len(out) != 0 || cap(out) != limit {
		t.Errorf("got %d bytes, room for %d, %v", len(out), cap(out), err)
	}
	if _, err := d.Append(scratch, spoilt, 3*limit); err != errNotDeflate {
		t.Errorf("with a higher limit: %v", err)
	}
	if n := testing.AllocsPerRun(5, func() {
		if _, err := d.Append(scratch, bomb, limit); err != ErrInflatedTooBig {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("a bomb makes %v allocations", n)
	}
	// A bomb in many final blocks.
	zeros := wiretest.Deflate(t, make([]byte, 1000), true)
	parts := bytes.Repeat(zeros[:len(zeros)-1], 2000)
	if _, err := d.Append(scratch, append(parts, 0), limit); err != ErrInflatedTooBig {
		t.Errorf("in many final blocks: %v", err)
	}
	if out, err := d.Append(scratch, append(parts, 0), 2_000_000); err != nil || len(out) != 2_000_000 {
		t.Errorf("in many final blocks, within the limit: %d bytes, %v", len(out), err)
	}
}

func TestDecompressionAllocatesNothing(t *testing.T) {
	var d Inflater
	payload := sampleJSON(4000)
	compressed, out := wiretest.Deflate(t, payload, false), make([]byte, 0, 8192)
	d.Append(out, compressed, 8192)
	if n := testing.AllocsPerRun(100, func() {
		if got, err := d.Append(out, compressed, 8192); err != nil || len(got) != len(payload) {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// referenceInflate does what Inflater.append does, with the standard library's
// decoder.
func referenceInflate(payload []byte, limit int64) (out []byte, err error) {
	stream := append(bytes.Clone(payload), deflateTail...)
	for len(payload) > 0 {
		r := bytes.NewReader(stream)
		got, err := io.ReadAll(io.LimitReader(flate.NewReader(r), limit+1-int64(len(out))))
		out = append(out, got...)
		if int64(len(out)) > limit {
			return nil, ErrInflatedTooBig
		}
		if err != nil {
			return nil, errNotDeflate
		}
		stream = stream[len(stream)-r.Len():]
		switch len(stream) {
		case 9, 5, 0: // at the end of the payload, of the marker, of all
			return out, nil
		}
		if len(stream) < 9 {
			return nil, errNotDeflate
		}
	}
	return out, nil
}

func FuzzInflate(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00", "\x03\x00\x03\x00", "\x01\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f", "\xf2\x00\x11\x00\x00", "\x04\x00\x00\x00",
	} {
		f.Add([]byte(seed), uint16(100))
	}
	f.Add(wiretest.Deflate(f, sampleJSON(1000), false), uint16(2000))
	f.Add(wiretest.Deflate(f, sampleJSON(1000), true), uint16(500))
	f.Add(wiretest.Deflate(f, make([]byte, 100_000), false), uint16(65535))
	var d Inflater
	f.Fuzz(func(t *testing.T, payload []byte, limit uint16) {
		sent := bytes.Clone(payload)
		got, err := d.Append(make([]byte, 0, 16), payload, int64(limit))
		want, wantErr := referenceInflate(payload, int64(limit))
		if err != wantErr && err != nil && wantErr != nil {
			// Before the end of what is cut off one decoder comes a byte further than
			// the other.
			if _, whole := referenceInflate(payload, 64<<20); whole != nil {
				return
			}
		}
		if err != wantErr || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("% x, limit %d: %d bytes, %v; the standard library %d bytes, %v", payload, limit, len(got), err, len(want), wantErr)
		}
		if !bytes.Equal(payload, sent) {
			t.Fatalf("% x was overwritten", sent)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	for _, n := range []int{100, 500, 1000, 4000, 64_000, 1 << 20} {
		payload := sampleJSON(n)
		compressed := wiretest.Deflate(b, payload, false)
		b.Run(fmt.Sprintf("size=%d", len(payload)), func(b *testing.B) {
			var d Inflater
			var out []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				var err error
				if out, err = d.Append(out[:0], compressed, 2<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInflateHostile is what the worst that a client can send, a megabyte in
// one message, costs a loop.
func BenchmarkInflateHostile(b *testing.B) {
	const size = 1 << 20
	random := make([]byte, size)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, c := range []struct{ name, unit string }{
		{"a bomb", string(wiretest.Deflate(b, make([]byte, 4*size), false))},
		{"random bytes", string(random)},
		{"empty stored blocks", "\x00\x00\x00\xff\xff"},
		{"empty fixed blocks", "\x02\x08\x20\x80\x00"},
		{"empty final blocks", "\x03\x00"},
		{"empty dynamic blocks", emptyDynamicBlocks()},
	} {
		payload := append(bytes.Repeat([]byte(c.unit), max(1, size/len(c.unit))), 0)
		b.Run(c.name, func(b *testing.B) {
			var d Inflater
			var out []byte
			var err error
			for b.Loop() {
				out, err = d.Append(out[:0], payload, size)
			}
			if err != nil && c.name[0] == 'e' {
				b.Error(err)
			}
		})
	}
}

// emptyDynamicBlocks is 8 blocks of 191 bits with nothing but large code tables.
func emptyDynamicBlocks() string {
	b, at := make([]byte, 191), 0
	put := func(v, n int) {
		for i := range n {
			b[at>>3] |= byte(v>>i&1) << (at & 7)
			at++
		}
	}
	length := func(symbol int) { // symbols 1 to 15 and 18 have codes of 4 bits
		for i := range 4 {
			put(min(symbol-1, 15)>>(3-i)&1, 1)
		}
	}
	zeros := func(n int) { length(18); put(n-11, 7) }
	for range 8 {
		put(2<<1, 3)
		put(286-257, 5)
		put(30-1, 5)
		put(19-4, 4)
		for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
			if symbol == 16 || symbol == 17 || symbol == 0 {
				put(0, 3)
			} else {
				put(4, 3)
			}
		}
		for n := 2; n <= 15; n++ {
			length(n)
		}
		length(15)
		zeros(138)
		zeros(256 - 15 - 138)
		length(1) // of the end of the block
		zeros(286 - 257)
		length(1)
		length(1)
		zeros(28)
		put(0, 1)
	}
	return string(b)
}
