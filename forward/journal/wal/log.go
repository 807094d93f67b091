package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
)

const (
	magic = "wsjrnl\x00\x01" // the last byte is the format's version

	// HeaderSize is what a segment has before its first record, and FrameSize what a
	// record takes beside its payload, in bytes.
	HeaderSize = len(magic)
	FrameSize  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Log appends records to a log. It is for one goroutine.
type Log struct {
	dir  string
	size int64 // of a segment, in bytes; a batch that is larger makes a larger one

	file    *os.File
	number  int
	written int64 // bytes of file

	frames  []byte
	syncing chan error // the segment before: its sync and its closing; nil for none
}

// Create begins a log in dir, which must be an empty folder. Segments end when they have
// segmentSize bytes.
func Create(dir string, segmentSize int64) (*Log, error) {
	l := &Log{dir: dir, size: segmentSize, number: -1}
	if _, err := l.Next(); err != nil {
		return nil, err
	}
	return l, nil
}

// Append writes records with one write(2): they survive the process, but not
// the machine before Sync, or the end of their segment. After an error some of them may
// be there; Next must be called before the next Append.
func (l *Log) Append(records [][]byte) error {
	l.frames = append(l.frames[:0], magic...)
	for _, r := range records {
		l.frames = appendFrame(l.frames, r)
	}
	if l.written > 0 && l.written+int64(len(l.frames)) > l.size {
		if _, err := l.Next(); err != nil {
			return err
		}
	}
	frames := l.frames
	if l.written > 0 {
		frames = frames[HeaderSize:]
	}
	err := l.write(frames)
	if cap(l.frames) > 1<<20 { // a burst's memory is not kept
		l.frames = nil
	}
	return err
}

func appendFrame(dst, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(dst[len(dst)-4:], castagnoli), castagnoli, payload)
	dst = binary.LittleEndian.AppendUint32(dst, sum)
	return append(dst, payload...)
}

// write appends b to the segment. It tries to cut off what a failed write has left, so
// that the segment does not end in the middle of a record.
func (l *Log) write(b []byte) error {
	if _, err := l.file.Write(b); err != nil {
		_ = l.file.Truncate(l.written) // a reader finds what is left
		return err
	}
	l.written += int64(len(b))
	return nil
}

// Next begins a new segment and returns its number. It syncs the one before in the
// background; the following Next or Close returns the error.
func (l *Log) Next() (number int, err error) {
	if err := l.settle(); err != nil {
		return 0, err
	}
	file, err := os.OpenFile(Name(l.dir, l.number+1), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	before := l.file
	l.file, l.number, l.written = file, l.number+1, 0
	if before != nil {
		syncing := make(chan error, 1)
		l.syncing = syncing
		go func() { syncing <- errors.Join(before.Sync(), before.Close()) }() // settle waits for it
	}
	return l.number, nil
}

// settle waits for the sync of the segment before.
func (l *Log) settle() error {
	if l.syncing == nil {
		return nil
	}
	err := <-l.syncing
	l.syncing = nil
	return err
}

// Whole reports whether the present segment's file still has its name, and still has
// everything that was written to it.
func (l *Log) Whole() bool {
	is, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(Name(l.dir, l.number))
	return err == nil && os.SameFile(is, named) && is.Size() >= l.written
}

// Sync returns when all that has been appended is on the disk.
func (l *Log) Sync() error { return errors.Join(l.settle(), l.file.Sync()) }

// Close syncs and ends the log.
func (l *Log) Close() error { return errors.Join(l.Sync(), l.file.Close()) }

// Truncate removes the segments before number.
func (l *Log) Truncate(number int) error {
	first, _, err := Segments(l.dir)
	for n := first; err == nil && n < min(number, l.number); n++ {
		if err = os.Remove(Name(l.dir, n)); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return err
}

// Name is the path of a segment.
func Name(dir string, number int) string { return filepath.Join(dir, fmt.Sprintf("%08d", number)) }

// Segments returns the numbers of the first and the last segment in dir. Other files
// do not count.
func Segments(dir string) (first, last int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, err
	}
	first, last = -1, -1
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil || n < 0 {
			continue
		}
		if first < 0 || n < first {
			first = n
		}
		last = max(last, n)
	}
	if last < 0 {
		return 0, 0, fmt.Errorf("%s: no segment: %w", dir, os.ErrNotExist)
	}
	return first, last, nil
}
