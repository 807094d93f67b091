package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
)

// Writable finds out whether the file that option names can be created or appended
// to, or the folder created or filled. What does not exist is created for a moment,
// as only that shows whether the file system allows it. made is a folder that will
// exist by then, with its parents.
func Writable(option, path string, folder bool, made string) finding.Finding {
	bad := func(at string, err error) finding.Finding {
		return finding.New(option, finding.Fail, fmt.Sprintf("%s cannot be written: %s: %v", path, at, err), "make the folder, give this user the right to write there, or choose another with --"+option)
	}
	good := finding.New(option, finding.OK, path+" can be written", "")
	at := followed(path)
	info, err := os.Stat(at)
	switch {
	case err == nil && info.IsDir() != folder, err == nil && info.Mode().Type() == fs.ModeSocket:
		return bad(path, errors.New("it is there and of another kind"))
	case err == nil && access(at, folder) != nil:
		return bad(path, access(at, folder))
	case err == nil && info.Mode().Type() == fs.ModeNamedPipe:
		return finding.New(option, finding.Warn, path+" is a pipe: somebody must read it when the gateway starts", "start its reader first")
	case err == nil && folder:
		if err := tryFolder(filepath.Join(at, fmt.Sprintf(".check-%d", os.Getpid()))); err != nil {
			return bad(path, textfile.WithoutPath(err))
		}
		return good
	case err == nil:
		return good
	case !errors.Is(err, os.ErrNotExist):
		return bad(path, textfile.WithoutPath(err))
	}
	parent := filepath.Dir(at)
	if folder {
		err = tryFolder(at)
	} else if _, missing := os.Stat(parent); !errors.Is(missing, os.ErrNotExist) || !isAbove(parent, made) {
		err = tryFile(at)
	} else {
		err = nil
	}
	if err != nil {
		return bad(parent, textfile.WithoutPath(err))
	}
	return good
}

// tryFile creates a file and removes it.
func tryFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(path))
}

// tryFolder creates a folder, with the parents that are missing, and removes what it
// has created.
func tryFolder(path string) error {
	var missing []string // the innermost first
	for at := path; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = append(missing, at)
	}
	for _, folder := range slices.Backward(missing) {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		defer os.Remove(folder) // nothing is in it
	}
	return nil
}

// followed returns the target of a symbolic link, which need not exist.
func followed(path string) string {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// isAbove reports whether folder is made, or one of its parents.
func isAbove(folder, made string) bool {
	if made == "" {
		return false
	}
	relative, err := filepath.Rel(folder, made)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, "../")
}

// access asks whether the effective user may write, and in a folder also search.
func access(path string, folder bool) error {
	mode := uint32(unix.W_OK)
	if folder {
		mode |= unix.X_OK
	}
	if info, err := os.Stat(path); folder && err == nil && !info.IsDir() {
		return unix.ENOTDIR
	}
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
