package wire

import (
	"fmt"
	"strconv"
	"strings"

	"ws-gateway/httptoken"
)

// charset is a set of bytes.
type charset [256]bool

// The sets of bytes in the grammar of a request head.
var (
	tokenByte   = charsetWhere(httptoken.IsByte)
	digitByte   = charsetOf(digits)
	hostByte    = charsetOf(alphanumeric + "-._~%!$&'()*+,;=:[]") // RFC 3986, 3.2.2 and 3.2.3
	schemeByte  = charsetOf(alphanumeric + "+-.")                 // RFC 3986, 3.1
	visibleByte = charsetWhere(func(c byte) bool { return 0x21 <= c && c <= 0x7E })
	fieldByte   = charsetWhere(func(c byte) bool { return c >= 0x20 && c != 0x7F || c == '\t' }) // RFC 9110, 5.5
)

const (
	digits       = "0123456789"
	alphanumeric = digits + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func charsetWhere(isMember func(byte) bool) *charset {
	s := new(charset)
	for c := range s {
		s[c] = isMember(byte(c))
	}
	return s
}

func charsetOf(members string) *charset {
	return charsetWhere(func(c byte) bool { return strings.IndexByte(members, c) >= 0 })
}

func (s *charset) has(c byte) bool { return s[c] }

// firstNotIn returns the index of the first byte of b that is not in s, or -1.
func (s *charset) firstNotIn(b []byte) int {
	for i, c := range b {
		if !s[c] {
			return i
		}
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isBlank reports whether c is optional whitespace (RFC 9110, 5.6.3, OWS).
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// nameByte names a byte for a message that it must not be there.
func nameByte(c byte) string {
	switch {
	case c == 0:
		return "NUL"
	case c == '\r':
		return "bare CR"
	case c == '\t':
		return "tab"
	case c == ' ':
		return "space"
	case 0x21 <= c && c <= 0x7E:
		return strconv.QuoteRune(rune(c))
	default:
		return fmt.Sprintf("byte 0x%02x", c)
	}
}

// quoteShort quotes the first bytes of b for a message to its sender.
func quoteShort(b []byte) string {
	const most = 32
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
