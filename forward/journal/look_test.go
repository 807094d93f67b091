package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Cleaners of temporary folders, people, another process.
func TestWhatOthersDoToTheFilesIsNoticedAndWhatComesIsRecorded(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"the folder removed":    os.RemoveAll,
		"the run removed":       func(dir string) error { return os.RemoveAll(runPath(dir, 1)) },
		"the lock removed":      func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) },
		"the folder moved away": func(dir string) error { return os.Rename(dir, dir+".old") },
		"the segment truncated": func(dir string) error { return os.Truncate(filepath.Join(runPath(dir, 1), "00000000"), 1) },
		"the segment replaced": func(dir string) error {
			path := filepath.Join(runPath(dir, 1), "00000000")
			return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			j, log := journal(t, dir)
			j.writer.every = 0 // it has written nothing yet
			j.opened("before")
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(30 * time.Second)
			for log.count("removed, replaced or cut by others") == 0 {
				if time.Now().After(deadline) {
					t.Fatal("it did not notice")
				}
				j.opened("meanwhile") // gives the writer something to do
			}
			j.opened("after")
			if _, err := Open(dir, j.log); err == nil {
				t.Error("another process can have the folder")
			}
			j, _ = journal(t, crashed(t, dir))
			if got := ids(j.Lost()); !slices.Contains(got, "after") {
				t.Errorf("lost %q", got)
			}
			if n := log.count("by others"); n != 1 {
				t.Errorf("it says so %d times", n)
			}
		})
	}
}
