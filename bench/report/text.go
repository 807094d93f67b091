package report

import (
	"fmt"
	"io"
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
	kinds, groups := groupRatios(ratiosOf(all))
	for _, k := range kinds {
		rows := [][]string{{withUnit(k.figure, k.unit), "ours", "theirs", "theirs to ours", "min", "max", ""}}
		for _, r := range groups[k] {
			rows = append(rows, []string{r.Peer, Number(r.Ours), Number(r.Theirs), Number(r.Median), Number(r.Min), Number(r.Max), ""})
		}
		fmt.Fprintf(&b, "%s: %s; against the peers\n", k.scenario, k.name)
		layOut(&b, rows, 1)
		b.WriteByte('\n')
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
