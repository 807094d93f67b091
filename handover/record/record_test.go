package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

// file makes a file of records, each of a kind.
func file(records ...Fields) []byte {
	w, b := NewWriter()
	for i, f := range records {
		r := AppendRecord(nil, Tag(2*i+2), f)
		w.Wrote(r, 1)
		b = append(b, r...)
	}
	return append(b, w.End()...)
}

// The bytes of version 1 must stay readable.
func TestTheBytesOfVersion1AreTheseAndNoOthers(t *testing.T) {
	f := Append(nil, 2, "alice")
	f = AppendNumber(f, 4, 300)
	f = Append(f, 1, "")
	const want = "77736773746174650102" + "0d" + "0205616c696365" + "0402ac02" + "0100" + "0402" + "0600" + "0008" + "0000000000000002" + "54fcbda0"
	got := hex.EncodeToString(file(f, Append(nil, 6, "")))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFieldsComeBackInOrder(t *testing.T) {
	f := Append(nil, 2, "a")
	f = AppendNumber(f, 1<<40, 1<<63)
	f = Append(f, 2, []byte{0})
	var got string
	err := Read(f, func(tag Tag, value []byte) (bool, error) {
		got += fmt.Sprintf("%d:%x ", tag, value)
		return true, nil
	})
	if want := "2:61 1099511627776:80808080808080808001 2:00 "; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAnUnknownFieldIsSkippedIfItsTagIsOddAndRefusedIfEven(t *testing.T) {
	nothing := func(Tag, []byte) (bool, error) { return false, nil }
	if err := Read(Append(nil, 7, "x"), nothing); err != nil {
		t.Error(err)
	}
	var unknown *UnknownError
	if err := Read(Append(Append(nil, 7, "x"), 8, "x"), nothing); !errors.As(err, &unknown) || unknown.Tag != 8 {
		t.Error(err)
	}
	if err := ReadFile(file(nil), func(Tag, Fields) (bool, error) { return false, nil }); !errors.As(err, &unknown) || unknown.Tag != 2 {
		t.Error(err)
	}
}

func TestAFileWithAnyByteAlteredOrCutOffIsRefusedBeforeARecordIsRead(t *testing.T) {
	whole := file(Append(nil, 2, "alice"), Append(nil, 4, "bob"))
	read := func(b []byte) (records int, err error) {
		err = ReadFile(b, func(Tag, Fields) (bool, error) { records++; return true, nil })
		return records, err
	}
	if n, err := read(whole); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for i := range whole {
		altered := bytes.Clone(whole)
		altered[i] ^= 0x40
		if n, err := read(altered); err == nil || n > 0 {
			t.Errorf("byte %d altered: %d records, %v", i, n, err)
		}
		if n, err := read(whole[:i]); err == nil || n > 0 {
			t.Errorf("cut off at %d: %d records, %v", i, n, err)
		}
	}
	if _, err := read(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a file with a byte behind its end is read")
	}
}

func TestWhatAFileIsRefusedForHasAName(t *testing.T) {
	later := file()
	later[len(magic)] = 2
	for want, b := range map[error][]byte{ErrNotOurs: []byte("{}"), ErrVersion: later, ErrDamaged: file()[:15]} {
		if err := ReadFile(b, nil); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestANumberHasOneSpelling(t *testing.T) {
	for _, b := range [][]byte{nil, {0x80}, {0x80, 0}, {1, 1}, bytes.Repeat([]byte{0xff}, 11)} {
		if n, err := Number(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %d, %v", b, n, err)
		}
	}
}

func FuzzFieldsThatCanBeReadAreThoseThatWereWritten(f *testing.F) {
	f.Add([]byte{2, 1, 'a', 4, 0})
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again Fields
		err := Read(b, func(tag Tag, value []byte) (bool, error) {
			again = Append(again, tag, value)
			return true, nil
		})
		if err == nil && len(again) > len(b) { // a varint may have been longer than it needs to be
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzAFileIsReadOrRefused(f *testing.F) {
	f.Add(file(Append(nil, 2, "alice")), true)
	f.Add([]byte(magic+"\x01"), false)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum { // or hardly anything would get past it
			w, head := NewWriter()
			w.Wrote(b, 1)
			b = append(append(head, b...), w.End()...)
		}
		bytes := 0
		_ = ReadFile(b, func(_ Tag, f Fields) (bool, error) { bytes += len(f); return true, nil })
		if bytes > len(b) {
			t.Errorf("%d bytes of fields in %d", bytes, len(b))
		}
	})
}
