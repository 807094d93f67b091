package deadletter

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

// ReplaySuffix is what the command replay adds to the name of a dead-letter file to
// name its own; rotation renames both.
const ReplaySuffix = ".done"

// reopenEvery is how often to open a file again that could not be written to.
const reopenEvery = time.Second

// maxKept is how large the buffer for a line may be to be kept for the next.
const maxKept = 32 << 10

// File is the file of events that failed for good: JSON lines, appended. When it has
// reached its largest size it is renamed to FILE.1, that to FILE.2 and so on, and the
// oldest is removed. Letters hold payloads and cookies, so only their owner may read
// the files. A nil *File keeps nothing.
type File struct {
	path            string
	log             zerolog.Logger
	written, errors atomic.Uint64

	mu      sync.Mutex // guards the following, and the order of lines
	maxSize int64
	keep    int // files besides path
	file    *linefile.File
	line    []byte
	failing bool      // the last write failed
	tried   time.Time // when the file was last opened, while failing
}

// Open opens the file or makes it. For path "" it returns nil.
func Open(path string, maxSize int64, keep int, log zerolog.Logger) (*File, error) {
	if path == "" {
		return nil, nil
	}
	file, err := linefile.Open(path, func(what string) {
		log.Warn().Msgf("the dead-letter file %s %s", path, what)
	})
	if err != nil {
		return nil, fmt.Errorf("dead-letter file: %w", err)
	}
	return &File{path: path, maxSize: maxSize, keep: keep, log: log, file: file}, nil
}

// Write appends an event that failed at that time, and reports whether the file has
// it.
func (f *File) Write(e *Event, at time.Time) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.line = e.append(f.line[:0], at)
	err := f.append(at)
	if cap(f.line) > maxKept {
		f.line = nil
	}
	if err != nil {
		f.errors.Add(1)
		if !f.failing {
			f.tried = at
			f.log.Error().Err(err).Msg("cannot write to the dead-letter file: failed callbacks are lost until this is mended")
		}
		f.failing = true
		return false
	}
	if f.failing {
		f.log.Info().Msg("the dead-letter file can be written to again")
	}
	f.failing = false
	f.written.Add(1)
	return true
}

// append writes the line, to the next file if this one is full.
func (f *File) append(now time.Time) error {
	if f.failing && now.Sub(f.tried) >= reopenEvery {
		f.tried = now
		_ = f.file.Reopen() // or else go on with the old one
	}
	if err := f.file.Check(now); err != nil {
		return err
	}
	if size := f.file.Size(); f.file.Regular() && size > 0 && size+int64(len(f.line)) > f.maxSize && f.file.Lock() {
		err := f.rotate()
		f.file.Unlock()
		if err != nil {
			return err
		}
		if err := f.file.Reopen(); err != nil {
			return err
		}
	}
	return f.file.Append(f.line, now)
}

// Reopen looks whether the open file still is the one with that name, as Write does
// before each letter. If not it opens the name again. It reports whether letters now go
// to the file with that name; the log says what was found.
func (f *File) Reopen() bool {
	if f == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried = time.Time{} // whoever calls may have made room
	if err := f.file.Look(time.Now()); err != nil {
		f.log.Error().Err(err).Msgf("the dead-letter file %s cannot be opened", f.path)
		return false
	}
	return true
}

// rotate renames the files. It tries again with the next letter if it could not rename
// one.
func (f *File) rotate() error {
	oldest := f.name(f.keep)
	if _, err := os.Lstat(oldest); err == nil {
		f.log.Warn().Msgf("the dead-letter file is full, as are those before it: %s and its letters are removed", oldest)
	}
	for i := f.keep; i > 0; i-- {
		for _, suffix := range [...]string{"", ReplaySuffix} {
			if err := os.Rename(f.name(i-1)+suffix, f.name(i)+suffix); errors.Is(err, fs.ErrNotExist) {
				if err := os.Remove(f.name(i) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
func (f *File) name(i int) string {
	if i == 0 {
		return f.path
	}
	return f.path + "." + strconv.Itoa(i)
}

// Resize sets other bounds: the size at which the file is renamed, and how many of
// those that were renamed are kept.
func (f *File) Resize(maxSize int64, keep int) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maxSize, f.keep = maxSize, keep
}

// Counts returns how many letters have been written, and how many could not be.
func (f *File) Counts() (written, failed uint64) {
	if f == nil {
		return 0, 0
	}
	return f.written.Load(), f.errors.Load()
}

// Close closes the file.
func (f *File) Close() {
	if f == nil {
		return
	}
	if err := f.file.Close(); err != nil {
		f.log.Error().Err(err).Msg("closing the dead-letter file")
	}
}
