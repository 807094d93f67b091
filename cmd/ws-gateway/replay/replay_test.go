package replay

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ws-gateway/forward/deadletter"
)

func TestADoneFileOutlivesItsLastLineBeingTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	open := func() *doneFile {
		d, err := openDone(path, strings.NewReader("first\nsecond\n"), false)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	for _, offset := range []int64{0, 6, 1234} {
		if err := d.add(offset); err != nil {
			t.Fatal(err)
		}
	}
	d.close()
	done := path + deadletter.ReplaySuffix
	info, err := os.Stat(done)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := os.Truncate(done, info.Size()-3); err != nil { // "12" is not 12
		t.Fatal(err)
	}
	d = open()
	if !d.has(0) || !d.has(6) || d.has(12) || d.has(1234) {
		t.Errorf("%v", d.done)
	}
	if err := d.add(77); err != nil {
		t.Fatal(err)
	}
	d.close()
	d = open()
	defer d.close()
	if !d.has(77) || len(d.done) != 3 {
		t.Errorf("%v", d.done)
	}
}

func TestALetterReaderGivesCompleteLinesWithTheirNumbersAndOffsets(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	r := newLetterReader(strings.NewReader("a\n\n" + long + "\nb\nhalf"))
	type found struct {
		number int
		offset int64
		length int
	}
	var got []found
	for {
		l, err := r.next()
		if err != nil {
			break
		}
		got = append(got, found{l.number, l.offset, len(l.text)})
	}
	if want := []found{{1, 0, 1}, {3, 3, 200_000}, {4, 200_004, 1}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !r.partial {
		t.Error("the half line went unnoticed")
	}
}
