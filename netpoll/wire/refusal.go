package wire

import (
	"net/http"
	"strconv"
)

// HandshakeError says why a request is refused, and how it is answered.
type HandshakeError struct {
	Status int
	Text   string   // one line that says what is wrong
	Header []string // further header fields of the answer: name, value, name, value
}

// Error returns the text.
func (e *HandshakeError) Error() string { return e.Text }

// AppendTo appends the response to a request with the given method, which is empty if
// it is not known.
func (e *HandshakeError) AppendTo(dst, method []byte) []byte {
	dst = AppendRefusal(dst, e.Status, e.Text, e.Header...)
	if string(method) == http.MethodHead {
		// RFC 9110, 9.3.2: the server MUST NOT send content in the response.
		dst = dst[:len(dst)-len(e.Text)-1]
	}
	return dst
}

func badRequest(text string) *HandshakeError {
	return &HandshakeError{Status: http.StatusBadRequest, Text: text}
}

// AppendRefusal appends a whole response that refuses a request and announces
// the end of the connection. Text becomes the body, one line. extra are further
// header fields, name, value, name, value, which must not contain a client's bytes.
func AppendRefusal(dst []byte, status int, text string, extra ...string) []byte {
	dst = AppendRefusalHead(dst, status, "text/plain; charset=utf-8", len(text)+1, extra...)
	return append(appendLine(dst, text), '\n')
}

// AppendRefusalHead is AppendRefusal up to the body of length bytes.
func AppendRefusalHead(dst []byte, status int, contentType string, length int, extra ...string) []byte {
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	if contentType != "" {
		dst = appendLine(append(dst, "\r\nContent-Type: "...), contentType)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(length), 10)
	dst = append(dst, "\r\nConnection: "...)
	for i := 0; i < len(extra); i += 2 {
		if extra[i] == "Upgrade" {
			// RFC 9110, 7.8: a sender of Upgrade MUST also send an "Upgrade"
			// connection option.
			dst = append(dst, "Upgrade, "...)
		}
	}
	dst = append(dst, "close\r\n"...)
	for i := 0; i+1 < len(extra); i += 2 {
		dst = append(dst, extra[i]...)
		dst = append(dst, ": "...)
		dst = append(dst, extra[i+1]...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendLine appends text, in which it replaces control characters by blanks.
func appendLine(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7F {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}
