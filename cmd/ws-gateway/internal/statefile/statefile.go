// Package statefile keeps the file of --resume-state on disk: it is written aside and
// renamed, belongs to its user alone, and is taken once.
//
//	FILE          what the last run has written down
//	FILE.new      what is being written
//	FILE.run      the random number of the run that has started last
//	FILE.lock     empty; locked by a run from its beginning to its end
//	FILE.refused  one that could not be used, for the operator
//
// A run begins with Lock; Open, which reads FILE and changes nothing; and Begin, which removes
// it and puts the run's own number into FILE.run. A FILE names the run that has written it: if
// that is not the one that has started last, it is a copy of an earlier one, or of a gateway
// that uses the same FILE where there are no locks, and has been taken before. What is in the
// file is the caller's.
package statefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Why a file is not used.
var (
	ErrKind  = errors.New("it is no regular file")
	ErrSize  = errors.New("it is larger than what a gateway writes")
	ErrOwner = errors.New("it belongs to another user")
	ErrMode  = errors.New("others than its owner may read or write it")
	ErrTaken = errors.New("it was not written by the gateway that has used this path last: sessions in it have been taken before, or ended")
)

// ErrOtherRun is returned by Create if another gateway has started since that uses the path.
var ErrOtherRun = errors.New("another gateway has started with the same file")

// File is the file at a path, for one run. Its methods are for one goroutine at a time.
type File struct {
	path string
	run  string // this run's number
	last string // of the run before; "" if nobody knows

	begun   bool // FILE.run has the number of this run
	content []byte
}

// Usable returns an error that names what is at path, or beside it, and cannot be replaced by a file.
func Usable(path string) error {
	for _, at := range []string{path, path + ".run", path + ".lock", path + ".refused"} {
		info, err := os.Lstat(at)
		ours := at == path+".run" || at == path+".lock"
		if err == nil && (info.IsDir() || ours && !info.Mode().IsRegular()) {
			return fmt.Errorf("%s: %w", at, ErrKind)
		}
	}
	return nil
}

// maxRun bounds FILE.run.
const maxRun = 1 << 10

// Open reads the file at path, which has at most limit bytes. There need not be one: then
// Content is nil.
func Open(path string, limit int64) (*File, error) {
	f := &File{path: path, run: rand.Text()}
	last, err := f.lastRun()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f.last = last
	content, err := read(path, limit, check)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	f.content = content
	return f, err
}

// lastRun is the number of the run that has started last.
func (f *File) lastRun() (string, error) {
	last, err := read(f.beside("run"), maxRun, func(fs.FileInfo) error { return nil })
	return strings.TrimSpace(string(last)), err
}

// read reads a regular file, and never waits for one that is something else.
func read(path string, limit int64, check func(fs.FileInfo) error) (content []byte, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: %w", path, ErrKind)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = ErrKind
	case info.Size() > limit:
		err = ErrSize
	default:
		err = check(info)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	content = make([]byte, info.Size())
	if _, err := io.ReadFull(file, content); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return content, nil
}

// check reports whether the file is this user's alone.
func check(info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && int(owner.Uid) != os.Geteuid():
		return ErrOwner
	case info.Mode().Perm()&0o077 != 0:
		return ErrMode
	}
	return nil
}

func (f *File) beside(what string) string { return f.path + "." + what }

// Content returns what the file had in it; nil if there was none.
func (f *File) Content() []byte { return f.content }

// Run returns the number of this run, which is to be in what it writes.
func (f *File) Run() string { return f.run }

// Fresh returns an error if the run that has written the file is not the one that has
// started last.
func (f *File) Fresh(run string) error {
	if f.last != "" && f.last != run {
		return fmt.Errorf("%s: %w", f.path, ErrTaken)
	}
	return nil
}

// Refuse keeps the file that Open has found aside, and returns where: "" if there is none.
func (f *File) Refuse() (aside string, err error) {
	f.content = nil
	aside = f.beside("refused")
	err = os.Rename(f.path, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return aside, err
}

// Begin removes the file and says that this run has started. Only if it returns no error
// may Content be used: then nobody takes it again. A disk that is full is no error.
func (f *File) Begin() error {
	f.content = nil
	for _, path := range []string{f.path, f.beside("new")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err := f.begin()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return nil
	}
	return err
}

// begin makes FILE.run that of this run.
func (f *File) begin() error {
	w, err := create(f.beside("run.new"))
	if err != nil {
		return err
	}
	if _, err = w.WriteString(f.run + "\n"); err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err == nil {
		err = os.Rename(w.Name(), f.beside("run"))
	}
	if err != nil {
		_ = os.Remove(w.Name()) // it may not be there
		return err
	}
	f.begun = true
	return f.syncFolder()
}

// create makes a file that is its user's alone, in the place of one that may be there.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (f *File) syncFolder() error {
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Writer is a file that is being written. Either Commit or Abandon must follow.
type Writer struct {
	*os.File
	to *File
}

// Create begins to write the file anew, aside.
func (f *File) Create() (*Writer, error) {
	if !f.begun {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	last, err := f.lastRun()
	switch {
	case err != nil:
		return nil, err
	case last != f.run:
		return nil, ErrOtherRun
	}
	w, err := create(f.beside("new"))
	if err != nil {
		return nil, err
	}
	return &Writer{w, f}, nil
}

// Commit puts the file in its place, after Sync. If it returns an error it is not there.
func (w *Writer) Commit() error {
	if err := os.Rename(w.Name(), w.to.path); err != nil {
		return err
	}
	_ = w.Close()         // it is synced
	_ = w.to.syncFolder() // the file is there, unless power fails now
	return nil
}

// Abandon removes what was written.
func (w *Writer) Abandon() {
	_ = w.Close()
	_ = os.Remove(w.Name()) // Begin of the next run does it otherwise
}
