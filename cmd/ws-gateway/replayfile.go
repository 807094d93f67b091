package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward/deadletter"
)

// maxLetter is the longest line that is read: of a message of 1 GiB in base64.
const maxLetter = 3 << 29

// rawLine is a line of a dead-letter file.
type rawLine struct {
	number  int
	offset  int64 // in the file
	text    []byte
	tooLong bool
}

func (l *rawLine) parse() (*deadletter.Letter, error) {
	if l.tooLong {
		return nil, fmt.Errorf("longer than %v", settings.Size(maxLetter))
	}
	text := l.text
	if l.number == 1 {
		var err error
		if text, err = textfile.Text(text); err != nil { // an editor has been at the file
			return nil, err
		}
	}
	return deadletter.Parse(text)
}

// letterReader reads a dead-letter file line by line. A last line that is not
// complete is no line: it may still be written.
type letterReader struct {
	in     *bufio.Reader
	number int
	offset atomic.Int64

	skipped, bad int // for whoever reads to count
	partial      bool
}

func newLetterReader(file io.Reader) *letterReader {
	return &letterReader{in: bufio.NewReaderSize(file, 64<<10)}
}

// next returns the next line that is not empty; io.EOF after the last one.
func (r *letterReader) next() (rawLine, error) {
	for {
		l := rawLine{number: r.number + 1, offset: r.offset.Load()}
		length := int64(0)
		for {
			part, err := r.in.ReadSlice('\n')
			length += int64(len(part))
			if l.tooLong = length > maxLetter; l.tooLong {
				l.text = nil
			} else {
				l.text = append(l.text, part...)
			}
			if err == nil {
				break
			}
			if err != bufio.ErrBufferFull {
				r.partial = r.partial || err == io.EOF && length > 0
				return rawLine{}, err
			}
		}
		r.number++
		r.offset.Add(length)
		if l.text = bytes.TrimSuffix(l.text, []byte("\n")); len(l.text) > 0 || l.tooLong {
			return l, nil
		}
	}
}

// doneFile remembers which lines of a dead-letter file have been dealt with:
// FILE.done, a line that says of which file, then the offset of each line. It is
// appended to line by line, so that whatever ends the process, at most what was on
// its way is sent again.
type doneFile struct {
	file *os.File // nil where it is only read, or there is nothing to do
	done map[int64]struct{}
	buf  []byte
}

// openDone reads path.done and, unless readOnly, opens it for this process alone.
func openDone(path string, letters io.ReadSeeker, readOnly bool) (*doneFile, error) {
	header, err := doneHeader(letters)
	if err != nil {
		return nil, err
	}
	d := &doneFile{done: make(map[int64]struct{})}
	if header == "" {
		return d, nil
	}
	path += deadletter.ReplaySuffix
	flags := os.O_RDWR | os.O_CREATE | os.O_APPEND
	if readOnly {
		flags = os.O_RDONLY
	}
	file, err := os.OpenFile(path, flags, 0o600)
	switch {
	case readOnly && errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, err
	}
	err = d.load(file, header, readOnly)
	if err != nil || readOnly {
		_ = file.Close() // nothing was written
		return d, err
	}
	d.file = file
	return d, nil
}

// doneHeader is the first line of FILE.done: it names FILE by its first line,
// which holds a time and an id and is nobody else's. It is empty if that line is
// not complete.
func doneHeader(letters io.ReadSeeker) (string, error) {
	hash := sha256.New()
	in := bufio.NewReader(letters)
	for {
		part, err := in.ReadSlice('\n')
		hash.Write(part)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return "", err
		}
		if _, err := letters.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		if err == io.EOF {
			return "", nil
		}
		return fmt.Sprintf("ws-gateway replay %x\n", hash.Sum(nil)[:16]), nil
	}
}

func (d *doneFile) load(file *os.File, header string, readOnly bool) error {
	if !readOnly {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use: another replay of the same file is under way", file.Name())
		} else if err != nil {
			return err
		}
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	complete := content[:bytes.LastIndexByte(content, '\n')+1] // the last line may be torn
	if !readOnly && len(complete) < len(content) {
		if err := file.Truncate(int64(len(complete))); err != nil {
			return err
		}
	}
	if len(complete) == 0 {
		if !readOnly {
			_, err = io.WriteString(file, header)
		}
		return err
	}
	offsets, ours := bytes.CutPrefix(complete, []byte(header))
	if !ours {
		return fmt.Errorf("%s is not about this file: remove it to send all events", file.Name())
	}
	for text := range strings.Lines(string(offsets)) {
		offset, err := strconv.ParseInt(strings.TrimSuffix(text, "\n"), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is damaged: remove it to send all events", file.Name())
		}
		d.done[offset] = struct{}{}
	}
	return nil
}

func (d *doneFile) has(offset int64) bool {
	_, ok := d.done[offset]
	return ok
}

// add notes the line at offset.
func (d *doneFile) add(offset int64) error {
	d.buf = append(strconv.AppendInt(d.buf[:0], offset, 10), '\n')
	_, err := d.file.Write(d.buf)
	return err
}

func (d *doneFile) close() {
	if d.file != nil {
		_ = d.file.Close() // each write has been checked
	}
}
