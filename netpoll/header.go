package netpoll

import (
	"unicode/utf8"
)

// maxReason is the room for the reason in a close frame, behind the code.
const maxReason = 123

// cutReason makes s fit for a close frame: valid UTF-8 of at most 123 bytes, cut
// at a rune boundary.
func cutReason(s string) string {
	if len(s) <= maxReason && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, maxReason)
	for _, c := range s { // c is U+FFFD for each byte that is not UTF-8
		if len(b)+utf8.RuneLen(c) > maxReason {
			break
		}
		b = utf8.AppendRune(b, c)
	}
	return string(b)
}
