package forward

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

var (
	errBareCR  = errors.New("forward: a line of an answer's head has a carriage return that ends nothing")
	errNotHTTP = errors.New("forward: an answer does not begin with a status line of HTTP/1")
)

// readFields reads a head, of an interim answer or the final one. It waits for the
// whole of it by itself: lines may end with a line feed alone (RFC 9112, section
// 2.2), for which fasthttp would wait in vain until the attempt's time is over.
func (l *link) readFields(wanted bool) error {
	var s headScan
	for {
		b, _ := l.reader.Peek(l.reader.Buffered()) // never fails
		end, err := s.look(b)
		switch {
		case err != nil:
			return err
		case end > 0 && !s.bare:
			return l.answer.Header.Read(l.reader)
		case end > 0:
			return l.readBare(b[:end])
		}
		if status, ok := parseStatusLine(b); ok && status >= 200 && !wanted {
			wanted = true // once
			l.hasten()
		}
		if _, err := l.reader.Peek(len(b) + 1); err != nil {
			if len(b) == 0 && !isTimeout(err) {
				return io.EOF // however it ended, it did before an answer
			}
			return err
		}
	}
}

// readBare reads a complete head that has lines which end with a line feed alone.
func (l *link) readBare(head []byte) error {
	strict := l.bare.strict[:0]
	for line := range bytes.Lines(head) {
		strict = append(append(strict, bytes.TrimRight(line, "\r\n")...), '\r', '\n')
	}
	l.bare.strict = strict
	l.bare.source.Reset(strict)
	if l.bare.reader == nil {
		l.bare.reader = bufio.NewReaderSize(&l.bare.source, 2*maxAnswerHead) // each line has grown by one byte at most
	} else {
		l.bare.reader.Reset(&l.bare.source)
	}
	if err := l.answer.Header.Read(l.bare.reader); err != nil {
		return err
	}
	_, err := l.reader.Discard(len(head))
	return err
}

// bareHead is what it takes to read heads with bare line feeds: nothing, for apps
// that send none.
type bareHead struct {
	strict []byte
	source bytes.Reader
	reader *bufio.Reader
}

// headScan looks for the end of a head while it arrives.
type headScan struct {
	at    int  // the line that is looked at
	begun bool // there was a line: empty ones before it are no end
	bare  bool // a line ends with a line feed alone
}

// look goes on with b, which begins with the head and has what has arrived. It
// returns the length of the head, 0 while it has not ended, or that it never will.
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
