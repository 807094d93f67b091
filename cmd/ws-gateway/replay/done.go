package replay

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

	"golang.org/x/sys/unix"

	"ws-gateway/forward/deadletter"
)

// doneFile is FILE.done: it remembers which lines of FILE have been dealt with. Its first
// line identifies FILE, the others are offsets of lines. Each is written at once, so that
// only events that were on their way are sent again, whatever ends the process.
type doneFile struct {
	file *os.File // nil if it is only read, or FILE has no line
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

// doneHeader is the first line of FILE.done. It identifies FILE by a hash of its first
// line, which has a time and an id and occurs in no other file. It is empty if FILE has no
// complete line.
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

// add notes that the line at offset has been dealt with.
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
