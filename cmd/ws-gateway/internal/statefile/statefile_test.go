package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// begin opens the file at a path and begins a run.
func begin(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Begin(); err != nil {
		t.Fatal(err)
	}
	return f
}

// write writes the file of a run.
func write(t *testing.T, f *File, content string) {
	t.Helper()
	w, err := f.Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Sync(), w.Commit()); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsReadByTheNextRunAndNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := begin(t, path)
	if first.Content() != nil {
		t.Errorf("%q is read", first.Content())
	}
	write(t, first, "old")
	write(t, first, "new")
	second, err := Open(path, 1<<20)
	if err != nil || string(second.Content()) != "new" || second.Fresh(first.Run()) != nil {
		t.Fatalf("%q, %v", second.Content(), err)
	}
	if !errors.Is(second.Fresh("another"), ErrTaken) {
		t.Error("a file of another run is fresh")
	}
	if err := second.Begin(); err != nil {
		t.Fatal(err)
	}
	if third, err := Open(path, 1<<20); err != nil || third.Content() != nil || !errors.Is(third.Fresh(first.Run()), ErrTaken) {
		t.Errorf("%q, %v", third.Content(), err)
	}
	for _, name := range []string{path, path + ".run"} {
		if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

func TestAFileThatIsAbandonedLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := begin(t, path)
	w, err := f.Create()
	if err != nil {
		t.Fatal(err)
	}
	w.Abandon()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != "state.run" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestTheRunThatHasStartedLastHasThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := begin(t, path)
	begin(t, path)
	if _, err := first.Create(); !errors.Is(err, ErrOtherRun) {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoFileOfItsUserAloneIsRefusedAndKept(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(path string) error
		want error
	}{
		"a pipe":         {func(path string) error { return syscall.Mkfifo(path, 0o600) }, ErrKind},
		"a hole":         {func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) }, ErrSize},
		"a link":         {func(path string) error { return os.Symlink("/dev/zero", path) }, ErrKind},
		"others read it": {func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o604)) }, ErrMode},
		"another's": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 12345, -1))
		}, ErrOwner},
	} {
		path := filepath.Join(t.TempDir(), "state")
		if err := test.put(path); err != nil {
			if name == "another's" && os.Geteuid() != 0 {
				continue // only root can give files away
			}
			t.Fatal(err)
		}
		f, err := Open(path, 1<<20)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) || f.Content() != nil {
			t.Errorf("%s: %v", name, err)
		}
		aside, err := f.Refuse()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Begin(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(aside); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What no file can take the place of, and what would hold up the start.
func TestWhatIsInTheWayIsNamed(t *testing.T) {
	folder := func(path string) error { return os.Mkdir(path, 0o700) }
	for name, test := range map[string]struct {
		put func(path string) error
		at  string
	}{
		"a folder":                  {folder, ""},
		"a folder for what is kept": {folder, ".refused"},
		"a folder for the run":      {folder, ".run"},
		"a pipe for the run":        {func(path string) error { return syscall.Mkfifo(path, 0o600) }, ".run"},
		"a link for the run":        {func(path string) error { return os.Symlink("elsewhere", path) }, ".run"},
		"a folder for the lock":     {folder, ".lock"},
		"a link for the lock":       {func(path string) error { return os.Symlink("elsewhere", path) }, ".lock"},
	} {
		path := filepath.Join(t.TempDir(), "state")
		if err := Usable(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := test.put(path + test.at); err != nil {
			t.Fatal(err)
		}
		if err := Usable(path); !errors.Is(err, ErrKind) || !strings.HasPrefix(err.Error(), path+test.at+": ") {
			t.Errorf("%s: %v", name, err)
		}
		if lock, err := Lock(path); test.at == ".lock" && (err == nil || errors.Is(err, ErrInUse) || errors.Is(err, ErrNoLocks)) {
			t.Errorf("%s: locked: %v", name, lock)
		}
		if _, err := Open(path, 1<<20); test.at != ".refused" && test.at != ".lock" && !errors.Is(err, ErrKind) { // if it is put there afterwards
			t.Errorf("%s: opened: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "state")
	if err := errors.Join(os.WriteFile(path+".run", nil, 0o600), os.Truncate(path+".run", 1<<40)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 1<<20); !errors.Is(err, ErrSize) {
		t.Errorf("a run's number of a terabyte: %v", err)
	}
}
