package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// WriteText writes the report for a terminal: what was run, a table for each
// case, the peers, and what benchstat says of several versions.
func WriteText(w io.Writer, all []Recording, comparison string) error {
	var b strings.Builder
	for _, rec := range all {
		if err := WriteHead(&b, rec.Run); err != nil {
			return err
		}
	}
	results := Results(all)
	for _, r := range results {
		if len(Versions(all)) > 1 {
			r.Summary.Case += " · " + r.Version.String()
		}
		if err := WriteTable(&b, r.Summary); err != nil {
			return err
		}
	}
	for _, r := range results {
		for _, n := range r.Broken() {
			fmt.Fprintf(&b, "BROKEN: %s: %s: %s (%s)\n", r.Summary.Scenario, r.Summary.Case, n.Text, plural(n.Rounds, "round"))
		}
	}
	for _, v := range Versions(all) {
		own := slices.DeleteFunc(ratiosOf(all), func(r versionRatio) bool { return r.Version != v })
		if err := writePeers(&b, v, own); err != nil {
			return err
		}
	}
	b.WriteString(comparison)
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// writePeers writes the ratios of a version case by case.
func writePeers(w io.Writer, v Version, ratios []versionRatio) error {
	kinds, groups := groupRatios(ratios)
	for len(kinds) > 0 {
		first := kinds[0]
		var own []Ratio
		kinds = slices.DeleteFunc(kinds, func(k ratioKind) bool {
			if k.scenario != first.scenario || k.name != first.name {
				return false
			}
			for _, r := range groups[k] {
				own = append(own, r.Ratio)
			}
			return true
		})
		if err := WriteRatios(w, first.scenario+": "+first.name+"; "+v.String()+" against the peers", own, nil); err != nil {
			return err
		}
	}
	return nil
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
