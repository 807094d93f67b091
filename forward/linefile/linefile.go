// Package linefile appends lines to a file that others may rotate. A line goes to the file
// that has the name now, whatever has happened to the one that was opened.
//
//	moved away, or another put in its place   the next line opens the name again
//	removed, or its folder                    the same; a line that went to a file
//	                                          without a name is written again
//	truncated (copytruncate)                  the next line is its first
//	a torn last line, ours or another's       the next line begins after a line break
//
// A line costs two system calls to look and one to write, which is fine for files of what
// went wrong. Several processes may append to one file: each line is one write. If nobody
// reads a pipe or device, a write gives up after WriteTimeout: the line is lost, and the
// caller goes on. The package imports none of the project's packages.
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
	// RetryAfter is how long to leave a file alone that could not be opened, or a pipe that
	// nobody reads.
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
	tried   time.Time   // when opening the name last failed, or the pipe was found stuck
	inVain  error       // why the name could not be opened; nil: the open file has the name
}

// Open opens path for appending, or makes it; only its owner may read it. notice is called
// with half a sentence on what others have done to the file; it may be nil.
func Open(path string, notice func(string)) (*File, error) {
	if notice == nil {
		notice = func(string) {}
	}
	f := &File{path: path, notice: notice}
	return f, f.open()
}

// open opens the name and looks how the file ends. After an error the open file stays.
func (f *File) open() error {
	// Without O_NONBLOCK opening a FIFO would wait for a reader.
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

// endsTorn reports whether the last line has no end. While another process is writing that
// may be wrong, and put an empty line between two others; readers skip those.
func (f *File) endsTorn() bool {
	if f.size == 0 {
		return false
	}
	file, err := os.Open(f.path)
	if err != nil {
		return true // one more empty line does no harm
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !os.SameFile(info, f.info) {
		return false // one of the processes has just renamed it
	}
	var b [1]byte
	if _, err := file.ReadAt(b[:], f.size-1); err != nil && err != io.EOF {
		return true
	}
	return b[0] != '\n'
}

// Size is the size of the file in bytes, and Regular whether it has one.
func (f *File) Size() int64   { return f.size }
func (f *File) Regular() bool { return f.regular }

// Torn reports whether the last line is incomplete.
func (f *File) Torn() bool { return f.torn }

// Append writes a line, which ends with a line break. An error means that the line is
// lost.
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

// Check opens the name again if the open file no longer has it. An error means that there
// is no file to write to.
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

// Look is Check for somebody who may just have put things right. It tries again what has
// failed a moment ago, and it is an error if the open file still does not have the name,
// even if that file takes lines.
func (f *File) Look(now time.Time) error {
	if err := f.check(now, true); err != nil {
		return err
	}
	return f.inVain
}

// reopen opens the name again. If that fails, the file that was moved away may still have
// another name, and takes lines.
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

// Reopen opens the name again in any case: after a failed write another file may have it.
func (f *File) Reopen() error { return f.open() }

func (f *File) write(line []byte, now time.Time) error {
	if f.stuck && now.Sub(f.tried) < RetryAfter {
		return errStuck
	}
	if !f.regular {
		_ = f.file.SetWriteDeadline(time.Now().Add(WriteTimeout)) // a device without deadlines does not block
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

// Lock locks the file against other processes, if nobody else has locked it, and reports
// whether it has done so and the open file still has the name. Whoever renames the file
// holds the lock.
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

// Unlock releases the lock.
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
