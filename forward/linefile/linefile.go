// Package linefile appends lines to a file that others may rotate: it is the file
// of that name that a line goes to, whatever has become of the one that was opened.
//
//	moved away, or another put in its place   the next line opens the name anew
//	removed, or its folder                    the same; a line that went to a file
//	                                          without a name is written once more
//	truncated (copytruncate)                  the next line is its first
//	a torn last line, ours or another's       the next line begins behind a line break
//
// A line costs two system calls to look, and one to write: these files are for what
// went wrong. Several processes may append to one file, each line is one write. A
// pipe or device that nobody reads is given up on after WriteTimeout: a line is
// lost then, and whoever writes goes on.
package linefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// WriteTimeout is how long a line may wait for the reader of a pipe.
	WriteTimeout = 100 * time.Millisecond
	// RetryAfter is how long a file that could not be opened, or a pipe that nobody
	// reads, is left alone.
	RetryAfter = time.Second
)

// File is an open file. It is for one goroutine at a time.
type File struct {
	path   string
	notice func(string)

	file    *os.File
	info    fs.FileInfo // of file when it was opened
	size    int64       // of file, as of the last line
	regular bool        // neither a pipe nor a device
	torn    bool        // the last line is incomplete
	stuck   bool        // a pipe that nobody reads
	tried   time.Time   // when the name was last opened in vain, or the pipe found stuck
	inVain  error       // why it could not be opened; nil: the open file was that of the name
}

// Open opens path for appending, or makes it, readable for its owner alone.
// notice is told, in half a sentence, of what others have done to the file; nil:
// nobody is.
func Open(path string, notice func(string)) (*File, error) {
	if notice == nil {
		notice = func(string) {}
	}
	f := &File{path: path, notice: notice}
	return f, f.open()
}

// open opens the name and looks at how the file ends. After an error the file is
// the one before.
func (f *File) open() error {
	// Without O_NONBLOCK a FIFO is waited for until it has a reader.
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		if errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("%s: nobody reads this pipe, or it is a socket", f.path)
		}
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close() // nothing was written
		return err
	}
	if f.file != nil {
		_ = f.file.Close() // each line has been checked
	}
	f.file, f.info, f.size, f.regular = file, info, info.Size(), info.Mode().IsRegular()
	f.torn, f.stuck, f.inVain = false, false, nil
	if !f.regular {
		return nil
	}
	f.torn = f.endsTorn()
	if info.Mode().Perm() != 0o600 {
		if err := file.Chmod(0o600); err != nil {
			f.notice(fmt.Sprintf("holds what is for its owner alone, and others may read it (%v)", err))
		}
	}
	return nil
}

// endsTorn reports whether the last line has no end. Where another process is just
// writing that may be an error, and an empty line between two others: whoever reads
// lines passes over it.
func (f *File) endsTorn() bool {
	if f.size == 0 {
		return false
	}
	file, err := os.Open(f.path)
	if err != nil {
		return true // an empty line more does no harm
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !os.SameFile(info, f.info) {
		return false // it has just been renamed, by one of us
	}
	var b [1]byte
	if _, err := file.ReadAt(b[:], f.size-1); err != nil && err != io.EOF {
		return true
	}
	return b[0] != '\n'
}

// Size is the file's, in bytes, and Regular whether it has one.
func (f *File) Size() int64   { return f.size }
func (f *File) Regular() bool { return f.regular }

// Torn reports whether the last line is incomplete.
func (f *File) Torn() bool { return f.torn }

// Append writes a line, which ends with a line break, at this time. An error means
// that the line is lost.
func (f *File) Append(line []byte, now time.Time) error {
	if err := f.Check(now); err != nil {
		return err
	}
	if err := f.write(line, now); err != nil {
		return err
	}
	if !f.regular || f.linked() {
		return nil
	}
	// It was removed meanwhile, and the line with it.
	if err := f.reopen(now, "was removed: a new one is begun"); err != nil {
		return err
	}
	return f.write(line, now)
}

// Check opens the name anew where it is not that of the open file any more. An
// error means that there is no file to write to.
func (f *File) Check(now time.Time) error { return f.check(now, false) }

func (f *File) check(now time.Time, hurry bool) error {
	current, err := os.Stat(f.path)
	if err == nil && os.SameFile(current, f.info) {
		f.inVain = nil // it was moved back
		if size := current.Size(); f.regular && size != f.size {
			if size < f.size {
				f.notice("was truncated by another process")
			}
			f.size = size
			f.torn = f.endsTorn()
		}
		return nil
	}
	if !hurry && now.Sub(f.tried) < RetryAfter && f.linked() {
		return nil
	}
	text := "was moved or replaced: what comes goes to a new one"
	if !f.linked() {
		text = "was removed: a new one is begun"
	}
	return f.reopen(now, text)
}

// Look is Check for somebody who has just put things right, or believes so: what was
// tried in vain a moment ago is tried again, and where the open file is still not
// that of the name, although it takes lines, that is an error.
func (f *File) Look(now time.Time) error {
	if err := f.check(now, true); err != nil {
		return err
	}
	return f.inVain
}

// reopen opens the name anew. Where it cannot be opened, the file that was moved
// away has a name still, and takes lines.
func (f *File) reopen(now time.Time, why string) error {
	first := f.tried.IsZero()
	if err := f.open(); err != nil {
		f.tried, f.inVain = now, err
		if !f.linked() {
			return err
		}
		if first {
			f.notice(fmt.Sprintf("was moved or replaced, and there is no opening a new one: lines go to the one that was moved (%v)", err))
		}
		return nil
	}
	f.tried = time.Time{}
	f.notice(why)
	return nil
}

// linked reports whether the open file has a name, or needs none.
func (f *File) linked() bool {
	if !f.regular {
		return true
	}
	info, err := f.file.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink > 0
}

// Reopen opens the name anew in any case, as a file that could not be written to
// may be another by now.
func (f *File) Reopen() error { return f.open() }

func (f *File) write(line []byte, now time.Time) error {
	if f.stuck && now.Sub(f.tried) < RetryAfter {
		return errStuck
	}
	if !f.regular {
		_ = f.file.SetWriteDeadline(time.Now().Add(WriteTimeout)) // a device that knows none does not block
	}
	if f.torn {
		if err := f.put([]byte("\n"), now); err != nil {
			return err
		}
		f.torn = false
	}
	return f.put(line, now)
}

var errStuck = errors.New("nobody reads this pipe")

func (f *File) put(line []byte, now time.Time) error {
	n, err := f.file.Write(line)
	f.size += int64(n)
	f.torn = f.torn && n == 0 || err != nil && n > 0
	f.stuck = errors.Is(err, os.ErrDeadlineExceeded)
	if f.stuck {
		f.tried = now
		return fmt.Errorf("%s: %w", f.path, errStuck)
	}
	return err
}

// Lock takes the file for this process alone, if nobody has it, and reports
// whether its name is still that of the open file: whoever renames it does so with
// the lock held. Unlock gives it back.
func (f *File) Lock() bool {
	if f.flock(unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	current, err := os.Stat(f.path)
	if err == nil && os.SameFile(current, f.info) {
		return true
	}
	f.Unlock()
	return false
}

// Unlock gives the lock back.
func (f *File) Unlock() { _ = f.flock(unix.LOCK_UN) }

func (f *File) flock(how int) (err error) {
	raw, err := f.file.SyscallConn()
	if err != nil {
		return err
	}
	if ctl := raw.Control(func(fd uintptr) { err = unix.Flock(int(fd), how) }); ctl != nil {
		return ctl
	}
	return err
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
