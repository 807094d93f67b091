package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Columns is how many columns s takes: wide characters take two, combining ones none.
// s must be free of control characters, as for the functions below.
func Columns(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// Cut returns s in at most so many columns, with an ellipsis if something is missing.
func Cut(s string, columns int) string {
	if Columns(s) <= columns {
		return s
	}
	room := columns - 1
	for i, r := range s {
		if room -= runeColumns(r); room < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// Pad appends blanks to s until it takes so many columns.
func Pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-Columns(s)))
}

// leastText is how many columns of a line are for text. Indents that leave less are
// left out.
const leastText = 8

// Wrap breaks text into lines of at most width columns: between words, or within a
// word that is longer than a line. Blanks within a line stay as they are. The first
// line begins with first, the others with next. With width 0 there is one line.
func Wrap(text string, width int, first, next string) (lines []string) {
	if width <= 0 {
		return []string{first + text}
	}
	if Columns(first)+leastText > width {
		first = ""
	}
	if Columns(next)+leastText > width {
		next = ""
	}
	line, words := first, 0
	end := func() {
		lines = append(lines, line)
		line, words = next, 0
	}
	for word := range strings.SplitSeq(text, " ") {
		switch taken := Columns(line); {
		case words > 0 && taken+1+Columns(word) <= width:
			line += " "
		case words > 0:
			end()
		}
		for Columns(line)+Columns(word) > width {
			part := fitting(word, width-Columns(line))
			if part == word {
				break // a single character, wider than the line
			}
			line += part
			word = word[len(part):]
			end()
		}
		line += word
		words++
	}
	if words > 0 || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// fitting is the beginning of a word that takes at most so many columns, but at least
// one character.
func fitting(word string, columns int) string {
	for i, r := range word {
		if columns -= runeColumns(r); columns < 0 && i > 0 {
			return word[:i]
		}
	}
	return word
}
