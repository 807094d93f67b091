package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Errors of Lock and InUse.
var (
	ErrInUse   = errors.New("another gateway that has not ended uses it")
	ErrNoLocks = errors.New("it cannot be locked")
)

// Lock keeps other runs from path until the result is closed, which the end of the process
// does too: a run that begins while another one goes on would find no file, and the other one
// could not write its own. It must be held before Open. The folder must be there. Without
// locks, as on some network file systems, there is ErrNoLocks; FILE.run protects what is in
// the file there as well.
func Lock(path string) (*os.File, error) { return lock(path, os.O_CREATE, unix.Flock) }

// InUse returns ErrInUse or ErrNoLocks if Lock would do so, and changes nothing.
func InUse(path string) error {
	f, err := lock(path, 0, unix.Flock)
	if err == nil {
		return f.Close()
	}
	if errors.Is(err, ErrInUse) || errors.Is(err, ErrNoLocks) {
		return err
	}
	return nil
}

func lock(path string, create int, flock func(fd, how int) error) (*os.File, error) {
	f, err := openLock(path+".lock", create)
	if err != nil {
		return nil, err
	}
	for {
		if err = flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = ErrInUse
	default:
		err = fmt.Errorf("%w: %w", ErrNoLocks, err)
	}
	_ = f.Close() // nothing was written
	return nil, fmt.Errorf("%s: %w", path, err)
}

// openLock opens the file that is locked. A lock over NFS needs one that can be written. One
// that another user has left behind is replaced.
func openLock(path string, create int) (*os.File, error) {
	const how = os.O_RDWR | unix.O_NOFOLLOW
	f, err := os.OpenFile(path, how|create, 0o600)
	if errors.Is(err, fs.ErrPermission) && create != 0 && os.Remove(path) == nil {
		f, err = os.OpenFile(path, how|create, 0o600)
	}
	return f, err
}
