package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/forward/journal"
)

// preflight looks at all that a start needs beside a valid configuration, and leaves
// nothing behind. What it passes can start; what it finds is also what a start that
// has failed says, so that everything can be mended at once.
func preflight(c *config, around *surroundings) []finding {
	connections := around.connections(c)
	found := addressFindings(c)
	found = append(found, around.judge(c, connections)...)
	found = append(found, fileFindings(c)...)
	if err := tryParts(c, around); err != nil {
		found = append(found, finding{"configuration", stateFail, err.Error(), ""})
	}
	return found
}

// tryParts makes the gateway's parts as a start does, but for the files, and lets go
// of them.
func tryParts(c *config, around *surroundings) error {
	without, options := *c, *c.options
	without.options = &options
	without.DeadLetter, without.Journal = "", ""
	g := emptyGateway(&without, zerolog.Nop(), nil)
	g.around = *around
	err := g.build()
	g.discard()
	return err
}

// startFailures is all that keeps a gateway from starting, a line for each, where
// err is what it stumbled over.
func startFailures(c *config, err error) error {
	around, lookErr := lookAround(c.MemoryShare)
	if lookErr != nil {
		return err
	}
	if all := failures(preflight(c, &around)); all != nil {
		return all
	}
	return err // it has gone away meanwhile
}

// failures is the failures among findings, a line for each; nil without any.
func failures(found []finding) error {
	var all []error
	for _, f := range found {
		if f.State != stateFail {
			continue
		}
		text := f.Name + ": " + f.Message
		if f.Fix != "" {
			text += "; " + f.Fix
		}
		all = append(all, errors.New(text))
	}
	return errors.Join(all...)
}

// fileFindings looks whether what the gateway writes can be written.
func fileFindings(c *config) (found []finding) {
	if c.NoCallback {
		return nil
	}
	if c.Journal != "" {
		f := writable("journal", c.Journal, true, "")
		if err := journal.InUse(c.Journal); err != nil && f.State == stateOK {
			f = finding{"journal", stateFail, err.Error(), "stop the other gateway, or choose another folder with --journal"}
		}
		found = append(found, f)
	}
	if c.DeadLetter != "" {
		found = append(found, writable("dead-letter", c.DeadLetter, false, c.Journal))
	}
	return found
}

// writable finds out whether a file can be made or appended to, or a folder be made
// or filled: what is not there is made for a moment, as a file system that refuses
// tells nobody before. made is a folder that will have been made before, with all
// that is above it.
func writable(option, path string, folder bool, made string) finding {
	bad := func(at string, err error) finding {
		return finding{option, stateFail, fmt.Sprintf("%s cannot be written: %s: %v", path, at, err), "make the folder, give this user the right to write there, or choose another with --" + option}
	}
	good := finding{option, stateOK, path + " can be written", ""}
	at := followed(path)
	info, err := os.Stat(at)
	switch {
	case err == nil && info.IsDir() != folder, err == nil && info.Mode().Type() == fs.ModeSocket:
		return bad(path, errors.New("it is there and of another kind"))
	case err == nil && access(at, folder) != nil:
		return bad(path, access(at, folder))
	case err == nil && info.Mode().Type() == fs.ModeNamedPipe:
		return finding{option, stateWarn, path + " is a pipe: somebody must read it when the gateway starts", "start its reader first"}
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

// tryFile makes a file and removes it.
func tryFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(path))
}

// tryFolder makes a folder, with all that is missing above it, and removes what it
// has made.
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

// followed is where a symbolic link leads, also one that leads to nothing yet.
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

// isAbove reports whether folder is made, or above it.
func isAbove(folder, made string) bool {
	if made == "" {
		return false
	}
	relative, err := filepath.Rel(folder, made)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, "../")
}

// access asks for the right to write as the effective user, and in a folder to look
// around.
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
