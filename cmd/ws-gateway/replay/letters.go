package replay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward/deadletter"
)

// maxLetter is the longest line that is read. A message of 1 GiB in base64 fits.
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

// letterReader reads a dead-letter file line by line. It leaves out a last line that is
// not complete: the gateway may still be writing it.
type letterReader struct {
	in     *bufio.Reader
	number int
	offset atomic.Int64

	skipped, bad int  // counted by the caller of next
	partial      bool // the last line is not complete
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
