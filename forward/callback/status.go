package callback

import (
	"bytes"
	"errors"
	"io"
	"syscall"

	"github.com/valyala/fasthttp"
)

// readHead reads up to the body of the final answer and returns its status.
func (c *Client) readHead(wanted bool) (status int, err error) {
	for interim := range maxInterim + 1 {
		err = c.readFields(wanted)
		if err != nil {
			status, err = c.salvage(err)
			if err == ErrNoAnswer && interim > 0 {
				err = io.ErrUnexpectedEOF
			}
			return status, err
		}
		switch status = c.answer.StatusCode(); {
		case status >= 200, status == fasthttp.StatusSwitchingProtocols:
			return status, nil
		case status < 100:
			return 0, errors.New("callback: an answer's status is below 100")
		}
	}
	return 0, errors.New("callback: too many interim answers")
}

// maxInterim is how many 1xx answers may come before the final one.
const maxInterim = 8

// salvage looks for a status line in what has arrived, after the head could not be
// read. A head that is too long, malformed or cut short still says how the app decided.
func (c *Client) salvage(err error) (status int, _ error) {
	c.answer.Reset()
	head, _ := c.reader.Peek(c.reader.Buffered())
	if len(head) == 0 {
		for _, ended := range [...]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
			if errors.Is(err, ended) {
				return 0, ErrNoAnswer
			}
		}
		return 0, err
	}
	if status, ok := parseStatusLine(head); ok && status >= 200 {
		c.StatusOnly = true
		c.answer.Header.SetConnectionClose()
		return status, nil
	}
	return 0, err
}

// parseStatusLine reads a complete status line (RFC 9112 section 4) at the
// start of head.
func parseStatusLine(head []byte) (status int, ok bool) {
	line, _, found := bytes.Cut(head, []byte("\n"))
	const form = "HTTP/1.1 200"
	if !found || len(line) < len(form) || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, false
	}
	if len(line) > len(form) && line[len(form)] != ' ' && line[len(form)] != '\r' {
		return 0, false
	}
	for _, c := range line[9:len(form)] {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = 10*status + int(c-'0')
	}
	return status, status >= 100
}
