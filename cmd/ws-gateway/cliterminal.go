package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// printable returns s with everything escaped, as Go does it, that a terminal
// might act upon: user names, User-Agents and payloads come from strangers. That
// is control characters, those that reverse text or have no width, and bytes that
// are not UTF-8.
func printable(s string) string {
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

// risky also holds for the replacement character, which stands for bytes that are
// not UTF-8; printable tells these from the real one.
func risky(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// printableJSON does the same to valid JSON, which stays the same value.
func printableJSON(text []byte) string {
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

// shownUser is a user's name; the empty one is two quotes.
func shownUser(name string) string {
	if name == "" {
		return `""`
	}
	return printable(name)
}

// terminalWidth asks the terminal; 0 if it does not say.
func terminalWidth(out io.Writer) int {
	file, ok := out.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// The colours of a terminal that has sixteen.
const (
	dim     = "\x1b[2m"
	red     = "\x1b[31m"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	blue    = "\x1b[34m"
	cyan    = "\x1b[36m"
	noColor = "\x1b[0m"
)

// paint colours text that has been made printable, where colours are wanted.
func (s *clientIO) paint(color, text string) string {
	if !s.color || color == "" {
		return text
	}
	return color + text + noColor
}
