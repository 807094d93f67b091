package sock

import (
	"bytes"
	"fmt"
	"strconv"
)

// mostHead bounds the head of an HTTP message, in bytes.
const mostHead = 16 << 10

var (
	headEnd       = []byte("\r\n\r\n")
	lineEnd       = []byte("\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// HTTP is a request or an answer. Its slices point into what it was read from.
type HTTP struct {
	Line []byte // the first, without its end
	Body []byte
	Size int // of the whole, head included; 0 while it is incomplete
}

// ReadHTTP reads the message at the beginning of data, whose body has mostBody bytes
// at most. It understands what the gateway and fasthttp write, no more.
func ReadHTTP(data []byte, mostBody int) (m HTTP, err error) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		if len(data) > mostHead {
			return m, fmt.Errorf("a head of more than %d bytes", mostHead)
		}
		return m, nil
	}
	head, size := data[:end], 0
	if at := bytes.Index(head, contentLength); at >= 0 {
		digits, _, _ := bytes.Cut(head[at+len(contentLength):], lineEnd)
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if err != nil || n > uint64(mostBody) {
			return m, fmt.Errorf("a body of %.20q bytes", digits)
		}
		size = int(n)
	}
	start := end + len(headEnd)
	if len(data) < start+size {
		return m, nil
	}
	m.Line, _, _ = bytes.Cut(head, lineEnd)
	m.Body, m.Size = data[start:start+size], start+size
	return m, nil
}
