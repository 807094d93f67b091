package sink

import (
	"bytes"
	"fmt"
	"strconv"
)

const (
	tallyPath = "/tally"
	mostHead  = 16 << 10
)

// request is one that a Counter serves. Its slices point into what it was parsed
// from.
type request struct {
	path []byte
	body []byte
	size int // of the whole, head included
}

var (
	headEnd       = []byte("\r\n\r\n")
	lineEnd       = []byte("\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// parseRequest reads the request at the beginning of data. length is 0 while it
// is incomplete. It understands what the gateway and fasthttp write, no more.
func parseRequest(data []byte) (r request, length int, err error) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		if len(data) > mostHead {
			return r, 0, fmt.Errorf("a request's head has more than %d bytes", mostHead)
		}
		return r, 0, nil
	}
	head := data[:end]
	line, _, _ := bytes.Cut(head, lineEnd)
	_, target, _ := bytes.Cut(line, []byte(" "))
	path, version, _ := bytes.Cut(target, []byte(" "))
	if string(version) != "HTTP/1.1" {
		return r, 0, fmt.Errorf("a request begins with %.100q", line)
	}
	var size uint64
	if at := bytes.Index(head, contentLength); at >= 0 {
		digits, _, _ := bytes.Cut(head[at+len(contentLength):], lineEnd)
		if size, err = strconv.ParseUint(string(digits), 10, 32); err != nil || size > mostBody {
			return r, 0, fmt.Errorf("a request has a body of %.20q bytes", digits)
		}
	}
	start := end + len(headEnd)
	length = start + int(size)
	if len(data) < length {
		return r, 0, nil
	}
	return request{path: path, body: data[start:length], size: length}, length, nil
}
