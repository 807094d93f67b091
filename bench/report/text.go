package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// WriteText writes the report for a terminal: what was run, a table for each
// case, the peers, and, where there are several versions, what changed.
func WriteText(w io.Writer, all []Recording) error {
	var b strings.Builder
	for _, rec := range all {
		if err := WriteHead(&b, rec.Run); err != nil {
			return err
		}
	}
	results := Results(all)
	for _, r := range results {
		if len(versionsOf(all)) > 1 {
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
	for _, v := range versionsOf(all) {
		own := slices.DeleteFunc(ratiosOf(all), func(r versionRatio) bool { return r.Version != v })
		if err := writePeers(&b, v, own); err != nil {
			return err
		}
	}
	for _, c := range Compare(results) {
		rows := [][]string{{c.Scenario, "unit", c.Before.String(), "min", "max", c.After.String(), "min", "max", "ratio", ""}}
		for _, d := range c.Changes {
			ratio := "–"
			if d.Ratio != 0 {
				ratio = Number(d.Ratio)
			}
			rows = append(rows, []string{d.Name, d.Unit, Number(d.Before.Median), Number(d.Before.Min), Number(d.Before.Max),
				Number(d.After.Median), Number(d.After.Min), Number(d.After.Max), ratio, string(d.Verdict)})
		}
		fmt.Fprintf(&b, "%s: %s; %s, then %s\n", c.Scenario, c.Case, c.Before, c.After)
		layOut(&b, rows, 2)
		for _, text := range c.Caveats {
			fmt.Fprintf(&b, "  note: %s\n", text)
		}
		b.WriteByte('\n')
	}
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
