package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// On makes the listener that --admin-listen names: "host:port", or "unix:/path" for a
// socket file that only the gateway's own user may open, a [SocketFile].
//
// A socket file that a dead process has left is replaced. It is an error if somebody
// listens there, or if it is a file of another kind. The listener's Close removes the
// file.
func On(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("admin: cannot listen on %s: %w", addr, err)
		}
		return ln, nil
	}
	ln, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("admin: cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}

// maxSocketPath is the longest path in a struct sockaddr_un, without its final zero.
const maxSocketPath = 107

// CheckSocketPath returns an error if no machine can have a socket at path.
func CheckSocketPath(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return errors.New("the path of the socket must be absolute") // not an abstract socket either: these have no permissions
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path of a socket has at most %d bytes, this one has %d", maxSocketPath, len(path))
	}
	return nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := CheckSocketPath(path); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return bindSocket(path)
}

// bindPrivate makes the socket file with mode 0600 from its first moment on: the file
// takes its mode from the socket, which gets it before bind.
func bindPrivate(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var err error
		if ctlErr := conn.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	ln, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}

// removeStale removes the socket file at path if the process that made it is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file of another kind: remove it, or choose another path")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return errors.New("another process listens there: stop it, or choose another path")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("cannot tell whether another process listens there: %w", err)
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lockFolder keeps two gateways that start at once from taking each other's new socket
// file for a stale one. The kernel drops the lock with the process.
func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s, perhaps another gateway starts right now: %w", folder, err)
	}
	return func() { f.Close() }, nil
}
