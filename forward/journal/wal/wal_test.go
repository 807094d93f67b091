package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log makes a log of its own folder, and closes it at the end of the test.
func log(t testing.TB, segmentSize int64) *Log {
	t.Helper()
	l, err := Create(t.TempDir(), segmentSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *Log) must(t testing.TB, records ...string) {
	t.Helper()
	var bs [][]byte
	for _, r := range records {
		bs = append(bs, []byte(r))
	}
	if err := l.Append(bs); err != nil {
		t.Fatal(err)
	}
}

// read returns what a segment holds.
func read(t testing.TB, path string) (records []string, err error) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for r.Next() {
		records = append(records, string(r.Record()))
	}
	if r.Next() {
		t.Error("it goes on behind its end")
	}
	return records, r.Err()
}

func TestWhatIsAppendedIsReadInItsOrderWhateverItsSize(t *testing.T) {
	l := log(t, 1<<20)
	want := []string{"a", "", "\x00\x00\x00\x00\x00\x00\x00\x00", string(make([]byte, 300_000)), magic, "b"}
	l.must(t, want[:2]...)
	l.must(t)
	l.must(t, want[2:]...)
	got, err := read(t, Name(l.dir, 0))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestAnEmptySegmentIsWhole(t *testing.T) {
	l := log(t, 1<<20)
	if got, err := read(t, Name(l.dir, 0)); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSegmentsEndAtTheirSizeAndARecordIsNeverSplit(t *testing.T) {
	l := log(t, 1000)
	var want []string
	for i := range 100 {
		record := fmt.Sprintf("%03d %s", i, bytes.Repeat([]byte("x"), i))
		want = append(want, record)
		l.must(t, record)
	}
	l.must(t, string(make([]byte, 5000))) // larger than a segment
	want = append(want, string(make([]byte, 5000)))
	first, last, err := Segments(l.dir)
	if err != nil || first != 0 || last != l.number || last < 5 {
		t.Fatalf("segments %d to %d of %d, %v", first, last, l.number, err)
	}
	var got []string
	for n := first; n <= last; n++ {
		records, err := read(t, Name(l.dir, n))
		if err != nil {
			t.Error(err)
		}
		got = append(got, records...)
		if info, err := os.Stat(Name(l.dir, n)); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1000 && len(records) > 1 {
			t.Errorf("segment %d: %v", n, info)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	if err := l.Truncate(last - 1); err != nil {
		t.Fatal(err)
	}
	if first, end, err := Segments(l.dir); err != nil || first != last-1 || end != last {
		t.Errorf("after Truncate: %d to %d, %v", first, end, err)
	}
	if err := l.Truncate(1000); err != nil { // never the one that is written
		t.Fatal(err)
	}
	if first, end, err := Segments(l.dir); err != nil || first != last || end != last {
		t.Errorf("after Truncate of all: %d to %d, %v", first, end, err)
	}
}

func TestACutAnywhereLosesWhatIsBehindItAndSaysSo(t *testing.T) {
	l := log(t, 1<<20)
	ends := []int{HeaderSize}
	for i := range 20 {
		l.must(t, fmt.Sprint("record ", i))
		ends = append(ends, int(l.written))
	}
	whole, err := os.ReadFile(Name(l.dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "segment")
	for cut := range len(whole) {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		for want+1 < len(ends) && ends[want+1] <= cut {
			want++
		}
		got, err := read(t, path)
		clean := cut == 0 || slices.Contains(ends, cut)
		if len(got) != want || (err == nil) != clean {
			t.Errorf("cut at %d: %d records, want %d; %v", cut, len(got), want, err)
		}
	}
}

// Every byte is damaged in turn: the records before it are read, nothing false is,
// and the damage is told.
func TestDamageAnywhereIsNoticed(t *testing.T) {
	l := log(t, 1<<20)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("record ", i))
	}
	l.must(t, want...)
	whole, err := os.ReadFile(Name(l.dir, 0))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "segment")
	for at := range whole {
		for _, flip := range []byte{1, 0x80, 0xff, whole[at]} { // the last makes a zero
			if flip == 0 {
				continue
			}
			damaged := slices.Clone(whole)
			damaged[at] ^= flip
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := read(t, path)
			if len(got) >= len(want) || !slices.Equal(got, want[:len(got)]) || err == nil {
				t.Fatalf("byte %d changed by %#x: %d records, %v", at, flip, len(got), err)
			}
		}
	}
}

func TestZerosBehindTheRecordsAreDamage(t *testing.T) {
	l := log(t, 1<<20)
	l.must(t, "a", "b")
	file, err := os.OpenFile(Name(l.dir, 0), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, Name(l.dir, 0)); len(got) != 2 || !errors.Is(err, errChecksum) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsNoSegmentIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := Segments(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, content := range []string{"garbage, and more of it", "wsjrnl\x00\x02 of a newer version", "w"} {
		path := filepath.Join(dir, "other")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, path); err == nil || len(got) > 0 {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
}

func TestCreateRefusesAFolderThatIsInUse(t *testing.T) {
	l := log(t, 1<<20)
	if _, err := Create(l.dir, 1<<20); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
}

// page makes a segment of the old format: see paged.
func page(fragments ...string) (b []byte) {
	for _, f := range fragments {
		b = append(b, f[0])
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)-1))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum([]byte(f[1:]), castagnoli))
		b = append(b, f[1:]...)
	}
	return b
}

func TestOldSegmentsAreReadFragmentsAndAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	rest := func(b []byte) []byte { return append(b, make([]byte, pageSize-len(b)%pageSize)...) }
	for name, c := range map[string]struct {
		content []byte
		want    []string
		whole   bool
	}{
		"whole records":              {page("\x01a", "\x01b"), []string{"a", "b"}, true},
		"in fragments":               {page("\x02a", "\x03b", "\x03c", "\x04d", "\x01e"), []string{"abcd", "e"}, true},
		"the rest of a page":         {append(rest(page("\x01a")), page("\x01b")...), []string{"a", "b"}, true},
		"a record through pages":     {append(rest(page("\x01a", "\x02b")), page("\x04c")...), []string{"a", "bc"}, true},
		"zeros at the end":           {rest(page("\x01a")), []string{"a"}, true},
		"a middle without its first": {page("\x01a", "\x03b"), []string{"a"}, false},
		"a last without its first":   {page("\x01a", "\x04b"), []string{"a"}, false},
		"a first without its last":   {page("\x01a", "\x02b"), []string{"a"}, false},
		"a whole one within another": {page("\x01a", "\x02b", "\x01c"), []string{"a"}, false},
		"no end":                     {page("\x01a", "\x01b")[:10], []string{"a"}, false},
		"something in a page's rest": {append(append(page("\x01a"), 0, 1), page("\x01b")...), []string{"a"}, false},
		"compressed":                 {page("\x01a", "\x09b"), []string{"a"}, false},
		"longer than its page":       {append(rest(page("\x01a"))[:pageSize-20], page("\x01"+string(bytes.Repeat([]byte("x"), 100)))...), []string{"a"}, false},
		"another checksum":           {append(page("\x01a"), 1, 0, 1, 0, 0, 0, 0, 'b'), []string{"a"}, false},
	} {
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(t, path)
		if !slices.Equal(got, c.want) || (err == nil) != c.whole {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzWhateverASegmentHoldsItIsReadOrRefused(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(append([]byte(magic), appendFrame(nil, []byte("a"))...))
	f.Add(page("\x02a", "\x03b", "\x04d"))
	path := filepath.Join(f.TempDir(), "segment")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		records, err := read(t, path)
		if !bytes.HasPrefix(content, []byte(magic)) {
			return
		}
		again := []byte(magic)
		for _, r := range records {
			again = appendFrame(again, []byte(r))
		}
		if !bytes.HasPrefix(content, again) || (err == nil) != (len(again) == len(content)) {
			t.Errorf("%d records, %v: %d of %d bytes", len(records), err, len(again), len(content))
		}
	})
}
