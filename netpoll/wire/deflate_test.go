package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	kflate "github.com/klauspost/compress/flate"

	"ws-gateway/netpoll/internal/wiretest"
)

// walk is what walkDeflate found.
type walk struct {
	out      []byte
	farthest int  // the longest distance
	final    bool // the last block has the BFINAL bit
	stored   bool // the last block is a stored one
}

// walkDeflate decodes a sequence of DEFLATE blocks (RFC 1951) bit by bit, and knows
// nothing of windows. It ends behind the last byte of b, which must be the end of a
// block, and goes on behind final blocks, as RFC 7692, 7.2.1, allows.
func walkDeflate(b []byte) (k walk, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v after %d bytes", r, len(k.out))
		}
	}()
	w := bitWalker{b: b}
	for w.at < len(b)*8 {
		k.final = w.bits(1) == 1
		k.stored = false
		switch w.bits(2) {
		case 0:
			k.stored = true
			w.align()
			n := w.bits(16)
			if n^w.bits(16) != 0xFFFF {
				return k, errors.New("stored length and its complement differ")
			}
			for range n {
				k.out = append(k.out, byte(w.bits(8)))
			}
		case 1:
			w.block(&k, canonicalOf(slicesOf(144, 8, 112, 9, 24, 7, 8, 8)), canonicalOf(slicesOf(30, 5)))
		case 2:
			literals, distances := w.tables()
			w.block(&k, literals, distances)
		default:
			return k, errors.New("block of type 3")
		}
		if k.final {
			w.align()
		}
	}
	return k, nil
}

// slicesOf makes a slice of runs: count, value, count, value.
func slicesOf(runs ...int) (s []int) {
	for i := 0; i < len(runs); i += 2 {
		for range runs[i] {
			s = append(s, runs[i+1])
		}
	}
	return s
}

type bitWalker struct {
	b  []byte
	at int // bit
}

func (w *bitWalker) bits(n int) (v int) {
	for i := range n {
		v |= int(w.b[w.at>>3]>>(w.at&7)&1) << i
		w.at++
	}
	return v
}

func (w *bitWalker) align() { w.at = (w.at + 7) &^ 7 }

// canonical is a canonical Huffman code: how many symbols there are of each
// length, and the symbols in the order of their codes.
type canonical struct {
	count   [16]int
	symbols []int
}

func canonicalOf(lengths []int) (c canonical) {
	for length := 1; length <= 15; length++ {
		for symbol, n := range lengths {
			if n == length {
				c.count[length]++
				c.symbols = append(c.symbols, symbol)
			}
		}
	}
	return c
}

func (w *bitWalker) symbol(c *canonical) int {
	code, first, index := 0, 0, 0
	for _, count := range c.count[1:] {
		code |= w.bits(1)
		if code-first < count {
			return c.symbols[index+code-first]
		}
		index, first, code = index+count, (first+count)<<1, code<<1
	}
	panic("code without a symbol")
}

func (w *bitWalker) tables() (literals, distances canonical) {
	nlit, ndist, ncode := w.bits(5)+257, w.bits(5)+1, w.bits(4)+4
	codes := make([]int, 19)
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:ncode] {
		codes[i] = w.bits(3)
	}
	var lengths []int
	code := canonicalOf(codes)
	for len(lengths) < nlit+ndist {
		switch s := w.symbol(&code); s {
		case 16:
			lengths = append(lengths, slicesOf(3+w.bits(2), lengths[len(lengths)-1])...)
		case 17:
			lengths = append(lengths, slicesOf(3+w.bits(3), 0)...)
		case 18:
			lengths = append(lengths, slicesOf(11+w.bits(7), 0)...)
		default:
			lengths = append(lengths, s)
		}
	}
	return canonicalOf(lengths[:nlit]), canonicalOf(lengths[nlit:])
}

func (w *bitWalker) block(k *walk, literals, distances canonical) {
	for {
		s := w.symbol(&literals)
		if s == 256 {
			return
		}
		if s < 256 {
			k.out = append(k.out, byte(s))
			continue
		}
		length := 258
		switch extra := (s - 261) / 4; {
		case s < 265:
			length = s - 254
		case s < 285:
			length = ((s-265)%4+4)<<extra + 3 + w.bits(extra)
		}
		d := w.symbol(&distances)
		distance := d + 1
		if extra := d/2 - 1; d >= 4 {
			distance = (2+d&1)<<extra + 1 + w.bits(extra)
		}
		k.farthest = max(k.farthest, distance)
		for range length {
			k.out = append(k.out, k.out[len(k.out)-distance])
		}
	}
}

// samplePayloads are messages of many kinds and sizes.
func samplePayloads() map[string][]byte {
	r := rand.New(rand.NewPCG(7, 92))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	text := func(n int) []byte {
		words := strings.Fields("the gateway sends a message to all users who are connected and none of them sees another's")
		var b []byte
		for len(b) < n {
			b = append(append(b, words[r.IntN(len(words))]...), ' ')
		}
		return b[:n]
	}
	samples := map[string][]byte{"empty": nil, "a byte": {7}, "hello": []byte("Hello")}
	sizes := []int{100, 255, 1000, 4096, 65536, 150_000}
	if !wiretest.Race {
		sizes = append(sizes, 256, 257, 32767, 32768, 32769, 65535)
	}
	for _, n := range sizes {
		samples[fmt.Sprintf("zeros of %d", n)] = make([]byte, n)
		samples[fmt.Sprintf("random of %d", n)] = random(n)
		samples[fmt.Sprintf("text of %d", n)] = text(n)
		samples[fmt.Sprintf("JSON of about %d", n)] = sampleJSON(n)
	}
	// What repeats at just the distance that a window holds, or just does not.
	for bits := minWindowBits; bits <= MaxWindowBits; bits++ {
		for _, d := range []int{-1, 0, 1} {
			period := random(1<<bits + d)
			samples[fmt.Sprintf("period of %d", len(period))] = bytes.Repeat(period, 2+20_000/len(period))
		}
	}
	return samples
}

// sampleJSON is a message of at least n bytes as an app would send it.
func sampleJSON(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	words := strings.Fields("hello gateway message the of meeting tomorrow please call file upload done at new status")
	b := []byte(`{"event":"update","data":[`)
	for len(b) < n {
		b = fmt.Appendf(b, `{"id":"%08x","user_name":"user%d","text":"`, r.Uint32(), r.IntN(50))
		for range 3 + r.IntN(8) {
			b = append(append(b, words[r.IntN(len(words))]...), ' ')
		}
		b = fmt.Appendf(b, `","created_at":%d,"read":%v,"score":%v},`, 1752700000000+r.Int64N(1e9), r.IntN(2) == 0, r.Float64())
	}
	return append(b[:len(b)-1], "]}"...)
}

func TestCompressedMessagesComeBackAndKeepToTheWindow(t *testing.T) {
	var d Deflater
	farthest := map[int]int{}
	for name, payload := range samplePayloads() {
		for bits := minWindowBits; bits <= MaxWindowBits; bits++ {
			before := []byte("before")
			out, ok := d.append(before, payload, DeflateParams{WindowBits: uint8(bits)})
			if !bytes.HasPrefix(out, before) {
				t.Fatalf("%s, %d bits: what was there before is lost", name, bits)
			}
			compressed := out[len(before):]
			if !ok {
				if len(compressed) > 0 {
					t.Errorf("%s, %d bits: refused, but %d bytes were appended", name, bits, len(compressed))
				}
				continue
			}
			if len(compressed) >= len(payload) {
				t.Errorf("%s, %d bits: %d bytes of %d", name, bits, len(compressed), len(payload))
			}
			walked, err := walkDeflate(append(bytes.Clone(compressed), syncMarker...))
			if err != nil || !bytes.Equal(walked.out, payload) || !walked.stored || walked.final {
				t.Errorf("%s, %d bits: bit by bit, %d bytes of %d, %v", name, bits, len(walked.out), len(payload), err)
			}
			if walked.farthest > 1<<bits {
				t.Errorf("%s, %d bits: refers %d bytes back", name, bits, walked.farthest)
			}
			farthest[bits] = max(farthest[bits], walked.farthest)
			if got, err := wiretest.Inflate(compressed); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%s, %d bits: the standard library finds %d bytes of %d, %v", name, bits, len(got), len(payload), err)
			}
		}
	}
	for bits := minWindowBits; bits <= MaxWindowBits; bits++ {
		if farthest[bits] < 1<<bits-64 { // otherwise the samples would not show a window that is too large
			t.Errorf("with %d bits no message refers further back than %d bytes", bits, farthest[bits])
		}
	}
}

func TestWhatWouldNotBecomeShorterIsNotCompressed(t *testing.T) {
	var d Deflater
	samples := samplePayloads()
	for _, name := range []string{"empty", "a byte", "hello", "random of 100", "random of 4096", "random of 150000"} {
		if out, ok := d.append(nil, samples[name], DeflateParams{WindowBits: 15}); ok || out != nil {
			t.Errorf("%s became %d bytes of %d", name, len(out), len(samples[name]))
		}
	}
	for n := range 400 { // some of them just break even
		payload := sampleJSON(400)[:n]
		if out, ok := d.append(nil, payload, DeflateParams{WindowBits: 15}); ok && len(out) >= n {
			t.Errorf("%d bytes became %d", n, len(out))
		}
	}
	for _, name := range []string{"JSON of about 255", "text of 1000", "zeros of 65536"} {
		for range 2 { // a compressor that gave up goes on working
			if _, ok := d.append(nil, samples[name], DeflateParams{WindowBits: 15}); !ok {
				t.Errorf("%s did not become shorter", name)
			}
		}
	}
}

func TestOneFrameServesAllWhoseParametersAreAlike(t *testing.T) {
	for n := range 40_000 {
		for bits := uint8(minWindowBits); bits <= MaxWindowBits; bits++ {
			p := DeflateParams{WindowBits: bits}
			want := p
			if n <= 1<<bits {
				want.WindowBits = MaxWindowBits
			}
			if got := p.alike(n); got != want {
				t.Fatalf("%d bytes, %d bits: %+v", n, bits, got)
			}
		}
		if p := (DeflateParams{}).alike(n); p.Agreed() {
			t.Fatalf("%d bytes, nothing agreed on: %+v", n, p)
		}
	}
	var d Deflater
	payload := sampleJSON(2000)[:2048]
	var frames [][]byte
	for bits := uint8(11); bits <= MaxWindowBits; bits++ {
		out, _ := d.append(nil, payload, DeflateParams{WindowBits: bits})
		frames = append(frames, out)
		if !bytes.Equal(out, frames[0]) {
			t.Errorf("%d bits: another frame", bits)
		}
	}
}

func TestMessagesAreCompressedFromManyGoroutines(t *testing.T) {
	var d Deflater
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			var in Inflater
			var compressed, got []byte
			for n := range 50 {
				payload := sampleJSON(200 + n*40 + i*300)
				var ok bool
				compressed, ok = d.append(compressed[:0], payload, DeflateParams{WindowBits: uint8(minWindowBits + (i+n)%8)})
				var err error
				if got, err = in.Append(got[:0], compressed, int64(len(payload))); !ok || err != nil || !bytes.Equal(got, payload) {
					t.Errorf("%d bytes: %v, %v", len(payload), ok, err)
					return
				}
			}
		})
	}
	workers.Wait()
}

func TestCompressionAllocatesNothing(t *testing.T) {
	var d Deflater
	out, payload := make([]byte, 0, 8192), sampleJSON(4096)
	for _, bits := range []uint8{8, 15} {
		p := DeflateParams{WindowBits: bits}
		d.append(out, payload, p)
		allowed := 0.0
		if wiretest.Race { // the pool is made to forget
			allowed = 100
		}
		if n := testing.AllocsPerRun(100, func() {
			if _, ok := d.append(out, payload, p); !ok {
				t.Error("not compressed")
			}
		}); n > allowed {
			t.Errorf("%d bits: %v allocations", bits, n)
		}
	}
}

func FuzzDeflate(f *testing.F) {
	for bits := range 8 {
		f.Add(bytes.Repeat([]byte("abcdefgh"), 1<<bits), uint8(bits), uint16(300))
	}
	f.Add([]byte{}, uint8(0), uint16(0))
	var d Deflater
	var in Inflater
	f.Fuzz(func(t *testing.T, seed []byte, bits uint8, times uint16) {
		bits = minWindowBits + bits%8
		payload := bytes.Repeat(seed, 1+int(times)%(1+100_000/(len(seed)+1)))
		compressed, ok := d.append(nil, payload, DeflateParams{WindowBits: bits})
		if !ok {
			return
		}
		walked, err := walkDeflate(append(bytes.Clone(compressed), syncMarker...))
		if err != nil || !bytes.Equal(walked.out, payload) || walked.farthest > 1<<bits || len(compressed) >= len(payload) {
			t.Fatalf("%d bytes, %d bits: %d bytes that refer %d back, %v", len(payload), bits, len(compressed), walked.farthest, err)
		}
		if got, err := wiretest.Inflate(compressed); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%d bytes, %d bits: the standard library: %v", len(payload), bits, err)
		}
		if got, err := in.Append(nil, compressed, int64(len(payload))); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%d bytes, %d bits: the Inflater: %v", len(payload), bits, err)
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	var d Deflater
	for _, bits := range []uint8{8, 15} {
		for _, n := range []int{100, 500, 1000, 4000, 64_000} {
			payload := sampleJSON(n)
			b.Run(fmt.Sprintf("window=%d/size=%d", bits, len(payload)), func(b *testing.B) {
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					out, _ = d.append(out[:0], payload, DeflateParams{WindowBits: bits})
				}
				b.ReportMetric(float64(len(out))/float64(len(payload)), "ratio")
			})
		}
	}
}

// BenchmarkDeflateLevels compares what deflateLevel could be.
func BenchmarkDeflateLevels(b *testing.B) {
	for _, n := range []int{100, 300, 500, 1000, 2000, 4000} {
		payload := sampleJSON(n)
		for level := 1; level <= 6; level++ {
			b.Run(fmt.Sprintf("size=%d/level=%d", len(payload), level), func(b *testing.B) {
				w, err := kflate.NewWriter(nil, level)
				if err != nil {
					b.Fatal(err)
				}
				c := &compressor{flate: w}
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					out, _ = c.append(out[:0], payload)
				}
				b.ReportMetric(float64(len(out))/float64(len(payload)), "ratio")
			})
		}
	}
}

// BenchmarkCompressorMemory says what a compressor in use holds.
func BenchmarkCompressorMemory(b *testing.B) {
	for _, bits := range []uint8{8, 15} {
		b.Run(fmt.Sprintf("window=%d", bits), func(b *testing.B) {
			for b.Loop() { // before there is something to report: it would be forgotten
			}
			payload := sampleJSON(4000)
			var before, after runtime.MemStats
			kept := make([]*compressor, 0, 64)
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range 64 {
				c := newCompressor(DeflateParams{WindowBits: bits})
				c.append(nil, payload)
				kept = append(kept, c)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(kept)), "B/compressor")
			runtime.KeepAlive(kept)
		})
	}
}
