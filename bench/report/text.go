package report

import (
	"fmt"
	"strings"
	"unicode"
)

// Text is the report for a terminal: what was run, a table for each case, the peers,
// and what benchstat says of several versions.
func Text(all []Recording, comparison string) string {
	var b strings.Builder
	for _, rec := range all {
		b.WriteString(Head(rec.Run))
	}
	results, versions := Results(all), Versions(all)
	for _, r := range results {
		if len(versions) > 1 {
			r.Summary.Case += " · " + r.Version.String()
		}
		b.WriteString(Table(r.Summary))
	}
	for _, c := range compareAll(all) {
		fmt.Fprintf(&b, "%s\n%s\n", c.Title(), c)
	}
	return printable(b.String() + comparison)
}

// printable replaces what a file may have brought along that moves a terminal's
// cursor, turns text around or is not allowed in a page.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
