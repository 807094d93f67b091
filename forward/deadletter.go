package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/linefile"
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
	log             zerolog.Logger
	written, errors atomic.Uint64

	mu      sync.Mutex // guards the following, and the order of lines
	maxSize int64
	keep    int // files besides path
	file    *linefile.File
	line    []byte
	failing bool      // the last write failed
	tried   time.Time // with failing: when the file was opened last
}

func openDeadLetters(path string, maxSize int64, keep int, log zerolog.Logger) (*deadLetters, error) {
	if path == "" {
		return nil, nil
	}
	file, err := linefile.Open(path, func(what string) {
		log.Warn().Msgf("the dead-letter file %s %s", path, what)
	})
	if err != nil {
		return nil, fmt.Errorf("dead-letter file: %w", err)
	}
	return &deadLetters{path: path, maxSize: maxSize, keep: keep, log: log, file: file}, nil
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
		_ = d.file.Reopen() // or goes on with what was there
	}
	if err := d.file.Check(now); err != nil {
		return err
	}
	if size := d.file.Size(); d.file.Regular() && size > 0 && size+int64(len(d.line)) > d.maxSize && d.file.Lock() {
		err := d.rotate()
		d.file.Unlock()
		if err != nil {
			return err
		}
		if err := d.file.Reopen(); err != nil {
			return err
		}
	}
	return d.file.Append(d.line, now)
}

// Reopen looks whether the dead-letter file is still the one of its name, as it
// does before each letter, and reports whether it is, or is again. The log says
// what was found.
func (f *Forwarder) Reopen() bool {
	d := f.letters
	if d == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tried = time.Time{} // whoever asks may have made room
	if err := d.file.Look(time.Now()); err != nil {
		d.log.Error().Err(err).Msgf("the dead-letter file %s cannot be opened", d.path)
		return false
	}
	return true
}

// rotate renames the files. What it cannot rename stays and is tried again with the
// next letter.
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
