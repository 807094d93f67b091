package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// ReplaySuffix is what package main's replay adds to the name of a dead-letter
// file for its own; rotation renames both.
const ReplaySuffix = ".done"

// reopenEvery is how often a file that could not be written to is opened anew.
const reopenEvery = time.Second

// deadLetters is the file of events that failed for good: JSON lines, appended.
// At its largest size it is renamed to FILE.1, that to FILE.2 and so on, and the
// oldest is removed. Letters hold payloads and cookies, so that the files are for
// their owner alone. A nil *deadLetters keeps nothing.
type deadLetters struct {
	path            string
	maxSize         int64
	keep            int // files besides path
	log             zerolog.Logger
	written, errors atomic.Uint64

	mu      sync.Mutex // guards the following, and the order of lines
	file    *os.File
	size    int64
	regular bool // not a device or a pipe: can be rotated
	line    []byte
	torn    bool      // the last line is incomplete
	failing bool      // the last write failed
	tried   time.Time // with failing: when the file was opened last
}

func openDeadLetters(path string, maxSize int64, keep int, log zerolog.Logger) (*deadLetters, error) {
	if path == "" {
		return nil, nil
	}
	d := &deadLetters{path: path, maxSize: maxSize, keep: keep, log: log}
	if err := d.open(); err != nil {
		return nil, fmt.Errorf("dead-letter file: %w", err)
	}
	return d, nil
}

// open opens the file and looks at how it ends.
func (d *deadLetters) open() error {
	file, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close() // nothing was written
		return err
	}
	d.file, d.size, d.regular, d.torn = file, info.Size(), info.Mode().IsRegular(), false
	if !d.regular {
		return nil
	}
	if info.Mode().Perm() != 0o600 {
		if err := file.Chmod(0o600); err != nil {
			d.log.Warn().Err(err).Msgf("the dead-letter file %s holds payloads and cookies, and others may read it", d.path)
		}
	}
	if d.size > 0 {
		d.torn = lastByte(d.path, d.size) != '\n'
	}
	return nil
}

// lastByte is the last of a file's size bytes; 0 where it cannot be read.
func lastByte(path string, size int64) byte {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	var b [1]byte
	if _, err := file.ReadAt(b[:], size-1); err != nil && err != io.EOF {
		return 0
	}
	return b[0]
}

// write appends e and reports whether the file has it.
func (d *deadLetters) write(e *event, o Outcome, status int, at time.Time) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = appendDeadLetter(d.line[:0], e, o, status, at)
	err := d.append(at)
	if cap(d.line) > 1<<maxClass {
		d.line = nil
	}
	if err != nil {
		d.errors.Add(1)
		if !d.failing {
			d.tried = at
			d.log.Error().Err(err).Msg("cannot write to the dead-letter file: failed callbacks are lost until this is mended")
		}
		d.failing = true
		return false
	}
	if d.failing {
		d.log.Info().Msg("the dead-letter file can be written to again")
	}
	d.failing = false
	d.written.Add(1)
	return true
}

// append writes the line, into the next file if this one is full.
func (d *deadLetters) append(now time.Time) error {
	if d.failing && now.Sub(d.tried) >= reopenEvery {
		d.tried = now
		d.reopen()
	}
	if d.regular && d.size > 0 && d.size+int64(len(d.line)) > d.maxSize {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if d.torn {
		n, err := io.WriteString(d.file, "\n")
		d.size += int64(n)
		if err != nil {
			return err
		}
		d.torn = false
	}
	n, err := d.file.Write(d.line)
	d.size += int64(n)
	d.torn = err != nil && n > 0
	return err
}

// reopen takes what is there under the file's name now; failing that, what was
// there.
func (d *deadLetters) reopen() {
	old := d.file
	if d.open() == nil {
		_ = old.Close() // it could not be written to
	}
}

// rotate renames the files and begins a new one. What it cannot rename stays and
// is tried again with the next letter.
func (d *deadLetters) rotate() error {
	oldest := d.name(d.keep)
	if _, err := os.Lstat(oldest); err == nil {
		d.log.Warn().Msgf("the dead-letter file is full, as are those before it: %s and its letters are removed", oldest)
	}
	for i := d.keep; i > 0; i-- {
		for _, suffix := range [...]string{"", ReplaySuffix} {
			if err := os.Rename(d.name(i-1)+suffix, d.name(i)+suffix); errors.Is(err, fs.ErrNotExist) {
				if err := os.Remove(d.name(i) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			} else if err != nil {
				return err
			}
		}
	}
	d.reopen()
	return nil
}

// name is the name of the i-th file before the present one.
func (d *deadLetters) name(i int) string {
	if i == 0 {
		return d.path
	}
	return d.path + "." + strconv.Itoa(i)
}

func (d *deadLetters) close() {
	if d == nil {
		return
	}
	if err := d.file.Close(); err != nil {
		d.log.Error().Err(err).Msg("closing the dead-letter file")
	}
}
