package callback

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxHead is how long an answer's head may be. Of a longer one only the status line is
// understood.
const maxHead = 8 << 10

var (
	errBareCR  = errors.New("callback: a line of an answer's head has a carriage return that ends nothing")
	errNotHTTP = errors.New("callback: an answer does not begin with a status line of HTTP/1")
)

// readFields reads the head of an interim answer or of the final one. It does not leave
// it to fasthttp to wait for all of the head: lines may end with a line feed alone (RFC
// 9112, section 2.2), and fasthttp would wait in vain until the deadline.
func (c *Client) readFields(wanted bool) error {
	var s headScan
	for {
		b, _ := c.reader.Peek(c.reader.Buffered()) // never fails
		end, err := s.look(b)
		switch {
		case err != nil:
			return err
		case end > 0 && !s.bare:
			return c.answer.Header.Read(c.reader)
		case end > 0:
			return c.readBare(b[:end])
		}
		if status, ok := parseStatusLine(b); ok && status >= 200 && !wanted {
			wanted = true // once
			c.hasten()
		}
		if _, err := c.reader.Peek(len(b) + 1); err != nil {
			if len(b) == 0 && !IsTimeout(err) {
				return io.EOF // however it ended, it did before an answer
			}
			return err
		}
	}
}

// readBare reads a complete head, some of whose lines end with a line feed alone.
func (c *Client) readBare(head []byte) error {
	strict := c.bare.strict[:0]
	for line := range bytes.Lines(head) {
		strict = append(append(strict, bytes.TrimRight(line, "\r\n")...), '\r', '\n')
	}
	c.bare.strict = strict
	c.bare.source.Reset(strict)
	if c.bare.reader == nil {
		c.bare.reader = bufio.NewReaderSize(&c.bare.source, 2*maxHead) // each line has grown by one byte at most
	} else {
		c.bare.reader.Reset(&c.bare.source)
	}
	if err := c.answer.Header.Read(c.bare.reader); err != nil {
		return err
	}
	_, err := c.reader.Discard(len(head))
	return err
}

// bareHead is what it takes to read heads with bare line feeds. It stays empty for apps
// that send none.
type bareHead struct {
	strict []byte
	source bytes.Reader
	reader *bufio.Reader
}

// headScan looks for the end of a head while the head arrives.
type headScan struct {
	at    int  // the line that is looked at
	begun bool // there was a line: empty ones before it are no end
	bare  bool // a line ends with a line feed alone
}

// look goes on with b, which is all that has arrived, from the head's first byte on. It
// returns the length of the head, or 0 if the head has not ended yet. An error means
// that it never will.
func (s *headScan) look(b []byte) (end int, err error) {
	for {
		line := b[s.at:]
		lf := bytes.IndexByte(line, '\n')
		if lf >= 0 {
			line = line[:lf]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 && cr < len(line)-1 {
			return 0, errBareCR
		}
		if lf < 0 {
			return 0, nil
		}
		s.at += lf + 1
		text := bytes.TrimSuffix(line, []byte("\r"))
		s.bare = s.bare || len(text) == len(line)
		switch {
		case len(text) > 0 && !s.begun && !beginsAnswer(text):
			return 0, errNotHTTP
		case len(text) > 0:
			s.begun = true
		case s.begun:
			return s.at, nil
		}
	}
}

// beginsAnswer reports whether a line may be a status line: a version, three digits.
func beginsAnswer(line []byte) bool {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	return len(version) == len("HTTP/1.1") && bytes.HasPrefix(version, []byte("HTTP/1.")) && len(code) == 3
}
