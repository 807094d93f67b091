// Package quote writes JSON strings, as fast as it gets: nearly everything that is
// quoted needs no escapes. It imports none of the project's packages.
package quote

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// plain says which ASCII bytes stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// Append appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func Append[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !plain[c] {
				dst = append(dst, s[start:i]...)
				dst = appendEscape(dst, c)
				start = i + 1
			}
			i++
			continue
		}
		r, size := decodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = utf8.AppendRune(dst, utf8.RuneError)
			start = i + 1
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

// Len is the length of what Append appends.
func Len[S string | []byte](s S) int {
	n := len(s) + len(`""`)
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !plain[c] {
				var escape [6]byte
				n += len(appendEscape(escape[:0], c)) - 1
			}
			i++
			continue
		}
		r, size := decodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			n += utf8.RuneLen(utf8.RuneError) - 1
		}
		i += size
	}
	return n
}

func decodeRune[S string | []byte](s S) (rune, int) {
	// No rune is longer, and a conversion of so few bytes does not escape.
	return utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
}
