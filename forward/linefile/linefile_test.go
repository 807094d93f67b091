package linefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rig is a file with a clock that a test moves.
type rig struct {
	t       *testing.T
	path    string
	file    *File
	now     time.Time
	notices []string
}

func open(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "folder", "lines"), now: time.Unix(1e9, 0)}
	r.try(os.Mkdir(filepath.Dir(r.path), 0o700))
	file, err := Open(r.path, func(what string) { r.notices = append(r.notices, what) })
	r.try(err)
	r.file = file
	t.Cleanup(func() { r.try(r.file.Close()) })
	return r
}

func (r *rig) try(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) append(line string) error { return r.file.Append([]byte(line+"\n"), r.now) }

func (r *rig) want(path, content string) {
	r.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		r.t.Errorf("%s has %q, %v; want %q", filepath.Base(path), got, err, content)
	}
}

func (r *rig) noticed(parts ...string) {
	r.t.Helper()
	if len(r.notices) != len(parts) {
		r.t.Fatalf("notices %q, want %q", r.notices, parts)
	}
	for i, part := range parts {
		if !strings.Contains(r.notices[i], part) {
			r.t.Errorf("notice %q, want %q", r.notices[i], part)
		}
	}
}

func TestALineGoesToTheFileOfTheName(t *testing.T) {
	moved := func(r *rig) string { return r.path + ".moved" }
	for name, test := range map[string]struct {
		rotate func(r *rig) error
		notice string
		old    string // what the file that was moved has, if it was
	}{
		"moved":   {func(r *rig) error { return os.Rename(r.path, moved(r)) }, "moved or replaced", "1\n"},
		"removed": {func(r *rig) error { return os.Remove(r.path) }, "removed", ""},
		"moved, and made anew": {func(r *rig) error {
			return errors.Join(os.Rename(r.path, moved(r)), os.WriteFile(r.path, nil, 0o600))
		}, "moved or replaced", "1\n"},
		"copied and truncated": {func(r *rig) error {
			return errors.Join(os.WriteFile(moved(r), []byte("1\n"), 0o600), os.Truncate(r.path, 0))
		}, "truncated", "1\n"},
		"another put in its place": {func(r *rig) error {
			return errors.Join(os.WriteFile(moved(r), nil, 0o600), os.Rename(moved(r), r.path))
		}, "removed", ""},
		"its folder moved away and made anew": {func(r *rig) error {
			return errors.Join(os.Rename(filepath.Dir(r.path), filepath.Dir(r.path)+".old"), os.Mkdir(filepath.Dir(r.path), 0o700))
		}, "moved or replaced", ""},
		"its folder removed and made anew": {func(r *rig) error {
			return errors.Join(os.RemoveAll(filepath.Dir(r.path)), os.Mkdir(filepath.Dir(r.path), 0o700))
		}, "removed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			r.try(r.append("1"))
			r.try(test.rotate(r))
			r.try(r.append("2"))
			r.try(r.append("3"))
			r.want(r.path, "2\n3\n")
			r.noticed(test.notice)
			if test.old != "" {
				r.want(moved(r), test.old)
			}
			if r.file.Size() != 4 {
				t.Errorf("size %d", r.file.Size())
			}
		})
	}
}

func TestAMovedFileTakesLinesWhileANewOneCannotBeOpened(t *testing.T) {
	r := open(t)
	r.try(r.append("1"))
	old := r.path + ".old"
	r.try(os.Rename(r.path, old))
	r.try(os.Mkdir(r.path, 0o700)) // where no file can be opened
	r.try(r.append("2"))
	r.try(r.append("3"))
	r.want(old, "1\n2\n3\n")
	r.noticed("no opening a new one")
	r.try(os.Remove(r.path))
	r.try(r.append("4"))
	r.now = r.now.Add(RetryAfter)
	r.try(r.append("5"))
	r.want(old, "1\n2\n3\n4\n")
	r.want(r.path, "5\n")
}

// Whoever looks has just mended the folder, and moves the file away in a moment.
func TestALookTriesAtOnceAndTellsOfAFileThatIsNotThatOfTheName(t *testing.T) {
	r := open(t)
	r.try(r.append("1"))
	r.try(r.file.Look(r.now))
	old := r.path + ".old"
	r.try(os.Rename(r.path, old))
	r.try(os.Mkdir(r.path, 0o700))
	r.try(r.append("2"))
	for range 2 {
		if err := r.file.Look(r.now); err == nil || !strings.Contains(err.Error(), "directory") {
			t.Errorf("a look says %v", err)
		}
	}
	r.noticed("no opening a new one")
	r.try(os.Remove(r.path))
	r.try(r.file.Look(r.now))
	r.try(r.append("3"))
	r.want(old, "1\n2\n")
	r.want(r.path, "3\n")

	r.try(os.Rename(r.path, old))
	r.try(os.Mkdir(r.path, 0o700))
	r.try(r.append("4"))
	r.try(os.Remove(r.path))
	r.try(os.Rename(old, r.path)) // back
	r.try(r.file.Look(r.now))
}

func TestALineIsNotCountedAsWrittenWhereThereIsNoFile(t *testing.T) {
	r := open(t)
	r.try(r.append("1"))
	r.try(os.RemoveAll(filepath.Dir(r.path)))
	for range 2 {
		if r.append("lost") == nil {
			t.Error("written to a file without a name")
		}
	}
	r.try(os.Mkdir(filepath.Dir(r.path), 0o700))
	r.try(r.append("2"))
	r.want(r.path, "2\n")
}

func TestATornLineStaysByItself(t *testing.T) {
	r := open(t)
	r.try(os.WriteFile(r.path, []byte("1\nhal"), 0o600)) // another process, on a full disk
	r.try(r.append("2"))
	r.want(r.path, "1\nhal\n2\n")
	r.try(os.Truncate(r.path, 3))
	r.try(r.append("3"))
	r.want(r.path, "1\nh\n3\n")
}

func TestSeveralWritersAndARotationLoseAndTearNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lines")
	const writers, each = 4, 500
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			f, err := Open(path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				if err := f.Append(fmt.Appendf(nil, "%d %d %s\n", w, i, strings.Repeat("x", i)), time.Now()); err != nil {
					t.Error(err)
				}
				if f.Size() > 20_000 && f.Lock() {
					if err := os.Rename(path, fmt.Sprintf("%s.%d.%d", path, w, i)); err != nil {
						t.Error(err)
					}
					f.Unlock()
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if line == "\n" {
				continue // a line was seen while it was written
			}
			var w, i int
			if n, _ := fmt.Sscanf(line, "%d %d", &w, &i); n != 2 || line != fmt.Sprintf("%d %d %s\n", w, i, strings.Repeat("x", i)) || seen[line] {
				t.Errorf("%q", line)
			}
			seen[line] = true
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d lines, want %d", len(seen), writers*each)
	}
}

func TestAPipeThatNobodyReadsHoldsUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Fatalf("a pipe without a reader: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	f, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := []byte(strings.Repeat("x", 10_000) + "\n")
	now, lost := time.Unix(1e9, 0), 0
	for range 100 { // at the first that is lost time stands still: it waits once
		if f.Append(line, now) != nil {
			lost++
		}
	}
	if lost < 90 {
		t.Errorf("%d lines lost of 100", lost)
	}
	if _, err := reader.Read(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Append(line, now.Add(RetryAfter)); err != nil {
		t.Errorf("it is read again: %v", err)
	}
}
