// Package httptoken knows what a token of HTTP is (RFC 9110, section 5.6.2): the name of
// a header, of a subprotocol, of a parameter. It imports none of ours; all may import it.
package httptoken

import "strings"

// Is reports whether s is a token.
func Is(s string) bool {
	for i := range len(s) {
		if !IsByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// IsByte reports whether c may be in a token.
func IsByte(c byte) bool {
	alnum := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
	return alnum || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
