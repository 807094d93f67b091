package netpoll

import (
	"fmt"
	"strconv"
)

// charset is a set of bytes.
type charset [256]bool

// The sets that the grammar of a request head is made of.
var (
	tokenByte   = charsetOf(alphanumeric + "!#$%&'*+-.^_`|~") // RFC 9110, 5.6.2
	digitByte   = charsetOf(digits)
	hostByte    = charsetOf(alphanumeric + "-._~%!$&'()*+,;=:[]") // RFC 3986, 3.2.2 and 3.2.3
	schemeByte  = charsetOf(alphanumeric + "+-.")                 // RFC 3986, 3.1
	visibleByte = charsetRange(0x21, 0x7E)
	fieldByte   = charsetRange(0x20, 0xFF).with('\t').without(0x7F) // RFC 9110, 5.5
)

const (
	digits       = "0123456789"
	alphanumeric = digits + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func charsetOf(members string) *charset {
	s := new(charset)
	for i := range len(members) {
		s[members[i]] = true
	}
	return s
}

func charsetRange(from, to int) *charset {
	s := new(charset)
	for c := from; c <= to; c++ {
		s[c] = true
	}
	return s
}

func (s *charset) with(c byte) *charset    { s[c] = true; return s }
func (s *charset) without(c byte) *charset { s[c] = false; return s }

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

// isBlank is what RFC 9110, 5.6.3, calls OWS.
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

// nameByte names a byte that is not where it may be.
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

// quoteShort quotes the beginning of b for a message to whoever sent it.
func quoteShort(b []byte) string {
	const most = 32
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
