package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAPathIsOneRunsUntilItEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := InUse(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking has left something: %v", err)
	}
	for range 2 {
		held, err := Lock(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Lock(path); !errors.Is(err, ErrInUse) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("locked twice: %v", err)
		}
		if err := InUse(path); !errors.Is(err, ErrInUse) {
			t.Errorf("in use: %v", err)
		}
		if info, err := os.Stat(path + ".lock"); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
			t.Errorf("%v, %v", info, err)
		}
		held.Close()
		if err := InUse(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := Lock(filepath.Join(path, "nowhere")); err == nil || errors.Is(err, ErrInUse) || errors.Is(err, ErrNoLocks) {
		t.Errorf("without a folder: %v", err)
	}
}

// NFS may have none, or its server may not be reached.
func TestAFileSystemWithoutLocksIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, failure := range []error{unix.ENOLCK, unix.EOPNOTSUPP, unix.ENOSYS, unix.EBADF, unix.EIO} {
		_, err := lock(path, os.O_CREATE, func(int, int) error { return failure })
		if !errors.Is(err, ErrNoLocks) || !errors.Is(err, failure) {
			t.Errorf("%v: %v", failure, err)
		}
	}
	interrupted := 0
	held, err := lock(path, os.O_CREATE, func(fd, how int) error {
		if interrupted++; interrupted < 3 {
			return unix.EINTR
		}
		return unix.Flock(fd, how)
	})
	if err != nil || interrupted != 3 {
		t.Fatalf("%v after %d", err, interrupted)
	}
	held.Close()
}
