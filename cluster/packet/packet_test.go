package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the packets of the current version into testdata")

// samples are packets of every shape, for the files of testdata.
func samples() map[string]Packet {
	fields := AppendField(nil, 1, "alice")
	fields = AppendNumber(fields, 200, 1<<40)
	fields = AppendField(fields, 255, []byte{})
	message := Packet{Kind: 17, Sender: Instance{1, 2, 3, 4, 5, 6, 7, 8}, Receiver: Instance{9, 10, 11, 12, 13, 14, 15, 16}, Sequence: 1<<63 + 5,
		Acknowledged: 7, Request: 99, Stamp: 3 * time.Second, Echo: 2 * time.Hour, Age: 1500 * time.Millisecond,
		FieldsLength: uint32(len(fields)), Body: append(bytes.Clone(fields), `{"hello":"world"}`...)}
	first, last := message, message
	first.More, first.Body = true, message.Body[:4]
	last.Fragment, last.FieldsLength, last.Body = 1, 0, message.Body[4:]
	return map[string]Packet{
		"heartbeat":   {Kind: Heartbeat, Sender: message.Sender, Stamp: time.Nanosecond, FieldsLength: uint32(len(fields)), Body: fields},
		"acknowledge": {Kind: Acknowledge, Sender: message.Sender, Receiver: message.Receiver, Sequence: 12, Acknowledged: 34, Fragment: 56, Body: []byte{}},
		"ask":         {Kind: Ask, Sender: message.Sender, Receiver: message.Receiver, Body: []byte{}},
		"skip":        {Kind: Skip, Sender: message.Sender, Receiver: message.Receiver, Sequence: 12, Request: 10, Body: []byte{}},
		"probe":       {Kind: Probe, Sender: message.Sender, Receiver: message.Receiver, Sequence: 12, Fragment: 3, Body: []byte{}},
		"message":     message,
		"first":       first,
		"last":        last,
		"empty":       {Kind: math.MaxUint8, Sender: message.Sender, Age: math.MaxUint32 * time.Millisecond, Stamp: math.MaxInt64, Body: []byte{}},
	}
}

func TestPacketsOfTheVersionAreReadAndWrittenByteForByte(t *testing.T) {
	for name, want := range samples() {
		path := filepath.Join("testdata", fmt.Sprint("v", Version), name)
		if *update {
			if err := os.WriteFile(path, want.Append(nil), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(golden)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(p, want) {
			t.Errorf("%s is read as\n%+v, want\n%+v", name, p, want)
		}
		if again := p.Append([]byte("before")); string(again) != "before"+string(golden) || p.Len() != len(golden) {
			t.Errorf("%s is written as\n%x, want\n%x", name, again, golden)
		}
	}
	files, err := filepath.Glob("testdata/v*/*")
	if err != nil || len(files) != Version*len(samples()) {
		t.Errorf("testdata has %d files: %v", len(files), err)
	}
}

func TestAFieldThatIsUnknownIsSkipped(t *testing.T) {
	p := samples()["message"]
	fields, payload, err := Split(p.Body, p.FieldsLength)
	if err != nil || string(payload) != `{"hello":"world"}` {
		t.Fatalf("payload %q, %v", payload, err)
	}
	got := maps.Collect(fields.All())
	want := map[Tag][]byte{1: []byte("alice"), 200: binary.AppendUvarint(nil, 1<<40), 255: {}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	value, ok := fields.Get(200)
	if n, whole := Number(value); !ok || !whole || n != 1<<40 {
		t.Errorf("field 200 is %d, %v, %v", n, ok, whole)
	}
	if _, ok := fields.Get(2); ok {
		t.Error("there is a field 2")
	}
	for range fields.All() {
		break // stops without a panic
	}
}

func TestANumberIsAllOfItsField(t *testing.T) {
	for _, value := range [][]byte{{}, {0x80}, {1, 0}, bytes.Repeat([]byte{0xff}, 11)} {
		if n, ok := Number(value); ok {
			t.Errorf("%x is the number %d", value, n)
		}
	}
}

// sealed corrects the checksum.
func sealed(packet []byte) []byte {
	end := len(packet) - checksumBytes
	binary.BigEndian.PutUint32(packet[end:], crc32.Checksum(packet[:end], castagnoli))
	return packet
}

func TestWhatNoGatewayWritesIsRefused(t *testing.T) {
	sample := func(name string, change func(*Packet)) []byte {
		p := samples()[name]
		change(&p)
		return p.Append(nil)
	}
	other := sample("message", func(*Packet) {})
	other[3] = Version + 1
	for name, test := range map[string]struct {
		packet []byte
		want   error
	}{
		"nothing":                     {nil, ErrNotAPacket},
		"something else":              {[]byte("PUB wsg.app.hb 5\r\nhello\r\n"), ErrNotAPacket},
		"another version":             {other, VersionError(Version + 1)},
		"a version alone":             {[]byte{'w', 's', 'g', Version}, ErrDamaged},
		"an end that is cut off":      {sample("message", func(*Packet) {})[:100], ErrDamaged},
		"no sender":                   {sample("message", func(p *Packet) { p.Sender = Instance{} }), ErrMalformed},
		"a stamp of before the start": {sample("message", func(p *Packet) { p.Stamp = -1 }), ErrMalformed},
		"an echo of before the start": {sample("message", func(p *Packet) { p.Echo = -1 }), ErrMalformed},
		"fields longer than the body": {sample("message", func(p *Packet) { p.FieldsLength = 1000 }), ErrMalformed},
		"half a field":                {sample("message", func(p *Packet) { p.FieldsLength = 3 }), ErrMalformed},
		"a length that never ends":    {sample("message", func(p *Packet) { p.Body = bytes.Repeat([]byte{0xff}, 20); p.FieldsLength = 20 }), ErrMalformed},
		"a field that ends after 2^64": {sample("message", func(p *Packet) {
			p.Body = append([]byte{1}, binary.AppendUvarint(nil, math.MaxUint64)...)
			p.FieldsLength = 11
		}), ErrMalformed},
		"fragments without a number":     {sample("first", func(p *Packet) { p.Kind = Heartbeat }), ErrMalformed},
		"a later fragment with fields":   {sample("last", func(p *Packet) { p.FieldsLength = 1 }), ErrMalformed},
		"an empty fragment":              {sample("last", func(p *Packet) { p.Body = nil }), ErrMalformed},
		"an empty fragment, more follow": {sample("first", func(p *Packet) { p.Body = nil }), ErrMalformed},
	} {
		if p, err := Parse(test.packet); !errors.Is(err, test.want) {
			t.Errorf("%s is %+v, %v; want the error %v", name, p, err, test.want)
		}
	}
}

func TestAPacketWithAnyBitTurnedIsRefused(t *testing.T) {
	packet := samples()["message"]
	bytes := packet.Append(nil)
	for i := range len(bytes) * 8 {
		bytes[i/8] ^= 1 << (i % 8)
		if _, err := Parse(bytes); err == nil {
			t.Errorf("without bit %d of byte %d it is a packet", i%8, i/8)
		}
		bytes[i/8] ^= 1 << (i % 8)
	}
}

func TestAnAgeIsBoundedByItsPlace(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{-time.Second: 0, 1999 * time.Microsecond: time.Millisecond, math.MaxInt64: math.MaxUint32 * time.Millisecond} {
		p := Packet{Sender: Instance{1}, Age: age}
		if p, err := Parse(p.Append(nil)); p.Age != want || err != nil {
			t.Errorf("an age of %v is read as %v, %v", age, p.Age, err)
		}
	}
}

func TestReadingAndWritingAllocateNothing(t *testing.T) {
	p := samples()["message"]
	buffer := p.Append(nil)
	if n := testing.AllocsPerRun(100, func() {
		read, err := Parse(buffer)
		if err != nil {
			t.Fatal(err)
		}
		fields, _, _ := Split(read.Body, read.FieldsLength)
		for range fields.All() {
		}
		buffer = p.Append(buffer[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse: whatever is read can be written, and is read as the same again.
func FuzzParse(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(samples())) {
		p := samples()[name]
		f.Add(p.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= Overhead {
			b = sealed(bytes.Clone(b)) // or the fuzzer gets no further than the checksum
		}
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(p.Append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v is read again as\n%+v, %v", p, again, err)
		}
		if p.Fragmented() {
			return
		}
		fields, payload, err := Split(p.Body, p.FieldsLength)
		if err != nil {
			t.Fatalf("its body: %v", err)
		}
		var rebuilt []byte
		for tag, value := range fields.All() {
			if found, ok := fields.Get(tag); !ok || len(found) > len(fields) {
				t.Fatalf("field %d is not found", tag)
			}
			rebuilt = append(rebuilt, value...)
		}
		if len(rebuilt) > len(fields) || len(fields)+len(payload) != len(p.Body) {
			t.Fatalf("%d bytes of fields and %d of payload out of %d", len(rebuilt), len(payload), len(p.Body))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	p := samples()["message"]
	p.Body = append(p.Body, make([]byte, 200)...)
	var buffer []byte
	for b.Loop() {
		buffer = p.Append(buffer[:0])
	}
}

func BenchmarkParse(b *testing.B) {
	p := samples()["message"]
	p.Body = append(p.Body, make([]byte, 200)...)
	buffer := p.Append(nil)
	for b.Loop() {
		if _, err := Parse(buffer); err != nil {
			b.Fatal(err)
		}
	}
}
