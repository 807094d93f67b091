package terminal

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWrapBreaksBetweenWordsAndWithinThoseThatAreTooLong(t *testing.T) {
	for _, c := range []struct {
		text        string
		width       int
		first, next string
		want        []string
	}{
		{"", 10, "  ", "", []string{"  "}},
		{"one two three", 0, "- ", "  ", []string{"- one two three"}},
		{"one  two three", 9, "", "", []string{"one  two", "three"}},
		{"one two three", 10, "- ", "  ", []string{"- one two", "  three"}},
		{"a abcdefghijklmnopqrst b", 10, "", "", []string{"a", "abcdefghij", "klmnopqrst", "b"}},
		{"abcdefghijklmno b", 12, "  ", "  ", []string{"  abcdefghij", "  klmno b"}},
		{"one two", 5, "    ", "    ", []string{"one", "two"}},
		{"日本語日本語", 5, "", "", []string{"日本", "語日", "本語"}},
		{"日本", 1, "", "", []string{"日", "本"}},
		{"e\u0301e\u0301e\u0301", 2, "", "", []string{"e\u0301e\u0301", "e\u0301"}},
	} {
		if got := Wrap(c.text, c.width, c.first, c.next); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d columns: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestCutAndPadCountColumns(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"日本語", 6, "日本語"}, {"e\u0301x", 2, "e\u0301x"}, {"abc", 1, "…"},
	} {
		if got := Cut(c.text, c.columns); got != c.want {
			t.Errorf("%q cut to %d: %q, want %q", c.text, c.columns, got, c.want)
		}
	}
	if got := Pad("日", 4); got != "日  " {
		t.Errorf("%q", got)
	}
}

func FuzzNothingIsLostOrTooWide(f *testing.F) {
	f.Add("one two three", 5, 2)
	f.Add("日本語 e\u0301", 3, 0)
	f.Fuzz(func(t *testing.T, text string, width, indent int) {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || width < 2 || width > 200 || indent < 0 || indent > 20 {
			t.Skip()
		}
		lines := Wrap(text, width, "", strings.Repeat(" ", indent))
		for _, line := range lines {
			if Columns(line) > width {
				t.Fatalf("%q takes %d columns of %d", line, Columns(line), width)
			}
		}
		letters := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got := letters(strings.Join(lines, "")); got != letters(text) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
