package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable returns s with everything escaped, as in a Go string, that a terminal
// might act on: control characters, those that reverse text or have no width, and
// bytes that are not UTF-8. User names, User-Agents and payloads come from strangers.
func Printable(s string) string {
	if !strings.ContainsFunc(s, risky) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case risky(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// risky is also true of the replacement character, which stands for bytes that are not
// UTF-8; Printable tells these from the real one.
func risky(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// PrintableJSON does the same to valid JSON, which keeps its value.
func PrintableJSON(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < utf8.RuneSelf && r != 0x7f && r >= ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n' || r == '\r' || r == '\t': // between tokens, where they mean nothing
			b.WriteByte(' ')
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return b.String()
}

// Plural is "1 event" or "2 events".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
