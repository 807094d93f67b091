package wire

import (
	"bytes"
	"fmt"
	"net/http"
)

// maxFields is how many header fields a request may have.
const maxFields = 256

var headEnding = []byte("\r\n\r\n")

// HeadEnd returns the index just behind the empty line that ends the request head
// in b, or -1 if b has no empty line yet. An earlier call has searched the first
// from bytes of b.
func HeadEnd(b []byte, from int) int {
	// The empty line may have begun in the bytes that were searched.
	from = max(0, from-len(headEnding)+1)
	i := bytes.Index(b[from:], headEnding)
	if i < 0 {
		return -1
	}
	return from + i + len(headEnding)
}

// CheckPartialHead looks at the first line of an incomplete request head, and returns
// an error if no further bytes can make it valid: a client that speaks another
// protocol is told at once, and does not wait for a timeout.
func CheckPartialHead(b []byte) *HandshakeError {
	b = skipEmptyLine(b)
	if len(b) == 0 || len(b) == 1 && b[0] == '\r' {
		return nil
	}
	if err := checkStart(b[0]); err != nil {
		return err
	}
	if bytes.IndexByte(b, '\n') >= 0 {
		line, _, err := cutLine(b)
		if err != nil {
			return err
		}
		return parseRequestLine(line, new(Request))
	}
	for _, c := range b {
		if c == ' ' || c == '\r' {
			break
		}
		if !tokenByte.has(c) {
			return badRequest("not an HTTP request: " + nameByte(c) + " in the method")
		}
	}
	return nil
}

// ParseHead parses a complete request head, up to and including the empty line,
// into r. It reuses r.Fields and keeps r.Remote. It is as strict as RFC 9112 allows:
// it refuses what two programs might understand differently.
func ParseHead(head []byte, r *Request) *HandshakeError {
	*r = Request{Remote: r.Remote, Fields: r.Fields[:0]}
	rest := skipEmptyLine(head)
	if len(rest) > 0 {
		if err := checkStart(rest[0]); err != nil {
			return err
		}
	}
	line, rest, err := cutLine(rest)
	if err != nil {
		return err
	}
	if err := parseRequestLine(line, r); err != nil {
		return err
	}
	for {
		if line, rest, err = cutLine(rest); err != nil {
			return err
		}
		if len(line) == 0 {
			return checkFields(r)
		}
		if len(r.Fields) == maxFields {
			return &HandshakeError{
				Status: http.StatusRequestHeaderFieldsTooLarge,
				Text:   fmt.Sprintf("more than %d header fields", maxFields),
			}
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		r.Fields = append(r.Fields, f)
	}
}

// skipEmptyLine skips one empty line at the start of b. RFC 9112, 2.2: a server
// SHOULD ignore at least one empty line received prior to the request-line.
func skipEmptyLine(b []byte) []byte {
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		return b[2:]
	}
	return b
}

// checkStart checks the first byte of a request line.
func checkStart(c byte) *HandshakeError {
	switch {
	case c == tlsHandshake:
		return errTLS
	case c == '\r' || c == '\n':
		return badRequest("empty request line")
	case !tokenByte.has(c):
		return badRequest("not an HTTP request: it begins with " + nameByte(c))
	}
	return nil
}

// cutLine cuts the first line, without its CRLF, from b.
func cutLine(b []byte) (line, rest []byte, err *HandshakeError) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, nil, badRequest("request head without an end")
	}
	if i == 0 || b[i-1] != '\r' {
		return nil, nil, badRequest("line that ends in a bare LF, not CRLF")
	}
	return b[:i-1], b[i+1:], nil
}

// parseRequestLine: RFC 9112, 3: method SP request-target SP HTTP-version, with
// nothing else between them.
func parseRequestLine(line []byte, r *Request) *HandshakeError {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first == last {
		return badRequest("request line without method, target and version")
	}
	method, target, version := line[:first], line[first+1:last], line[last+1:]
	if i := tokenByte.firstNotIn(method); i >= 0 {
		return badRequest(nameByte(method[i]) + " in the method")
	}
	if len(method) == 0 || len(target) == 0 {
		return badRequest("request line without method, target and version")
	}
	r.Method = method
	if i := visibleByte.firstNotIn(target); i >= 0 {
		return badRequest(nameByte(target[i]) + " in the request target: it must be percent-encoded")
	}
	if err := parseVersion(version, r); err != nil {
		return err
	}
	t, err := ParseTarget(method, target)
	r.Target, r.Path = t.Origin, t.Path
	return err
}

// parseVersion: RFC 9112, 2.3: "HTTP/" DIGIT "." DIGIT, case-sensitive.
func parseVersion(version []byte, r *Request) *HandshakeError {
	const form = "HTTP/1.x"
	if len(version) != len(form) || string(version[:5]) != form[:5] || version[6] != '.' ||
		!isDigit(version[5]) || !isDigit(version[7]) {
		return badRequest("bad HTTP version " + quoteShort(version))
	}
	if version[5] != '1' || version[7] > '1' {
		return &HandshakeError{
			Status: http.StatusHTTPVersionNotSupported,
			Text:   "this server speaks HTTP/1.1, not " + string(version),
		}
	}
	r.Minor = int(version[7] - '0')
	return nil
}

// parseField: RFC 9112, 5: field-name ":" OWS field-value OWS. Errors quote names
// that are tokens, and never values, which may be secrets.
func parseField(line []byte) (f Field, err *HandshakeError) {
	if isBlank(line[0]) {
		return f, badRequest("header line that begins with a blank (a folded line?)")
	}
	colon := bytes.IndexByte(line, ':')
	switch {
	case colon < 0:
		return f, badRequest("header line without a colon")
	case colon == 0:
		return f, badRequest("header line with an empty name")
	}
	f.Name = line[:colon]
	if i := tokenByte.firstNotIn(f.Name); i >= 0 {
		if isBlank(f.Name[len(f.Name)-1]) {
			return f, badRequest("blank between a header's name and its colon")
		}
		return f, badRequest(nameByte(f.Name[i]) + " in a header's name")
	}
	f.Value = trimBlanks(line[colon+1:])
	if i := fieldByte.firstNotIn(f.Value); i >= 0 {
		return f, badRequest(nameByte(f.Value[i]) + " in header " + quoteShort(f.Name))
	}
	return f, nil
}

// checkFields enforces RFC 9112's rules for Host (3.2) and for the fields that give
// the length of the body (6).
func checkFields(r *Request) *HandshakeError {
	host, hosts := r.Get("Host")
	switch {
	case hosts == 0 && r.Minor > 0:
		return badRequest("no Host header")
	case hosts > 1:
		return badRequest("more than one Host header")
	case hostByte.firstNotIn(host) >= 0:
		return badRequest("bad Host header")
	}
	length, lengths := r.Get("Content-Length")
	if _, codings := r.Get("Transfer-Encoding"); codings > 0 {
		if lengths > 0 {
			return badRequest("Transfer-Encoding together with Content-Length")
		}
		if r.Minor == 0 {
			return badRequest("Transfer-Encoding in an HTTP/1.0 request")
		}
	}
	if lengths == 0 {
		return nil
	}
	// Any length that exists has at most 18 digits, which fit an int64.
	if len(length) == 0 || len(length) > 18 || digitByte.firstNotIn(length) >= 0 {
		return badRequest("bad Content-Length header")
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Is("Content-Length") && !bytes.Equal(f.Value, length) {
			return badRequest("Content-Length headers that differ")
		}
	}
	return nil
}
