package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table is a summary for a terminal or a page of fixed width.
func Table(s Summary) string {
	rows := [][]string{{s.Scenario, "unit", "median", "min", "max", "goal", ""}}
	for _, l := range s.Lines {
		row := []string{l.Name, l.Unit, Number(l.Median), Number(l.Min), Number(l.Max), "", ""}
		if l.Goal > 0 {
			row[5], row[6] = "≤ "+Number(l.Goal), "missed"
			if l.Met {
				row[6] = "met"
			}
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s; %s\n", s.Scenario, s.Case, plural(s.Rounds, "round"))
	b.WriteString(layOut(rows, 2))
	fmt.Fprintf(&b, "  machine: others used %s %% of it (at most %s), its host took %s %% (at most %s)\n",
		Number(s.Others.Median), Number(s.Others.Max), Number(s.Steal.Median), Number(s.Steal.Max))
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "  note: %s (%d of %s)\n", n.Text, n.Rounds, plural(s.Rounds, "round"))
	}
	for _, n := range s.Broken {
		fmt.Fprintf(&b, "  BROKEN: %s (%d of %s)\n", n.Text, n.Rounds, plural(s.Rounds, "round"))
	}
	b.WriteByte('\n')
	return b.String()
}

// layOut aligns columns: the first left ones and the last to the left, numbers to
// the right. The first row is the head.
func layOut(rows [][]string, left int) string {
	var b strings.Builder
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("─", width)
	}
	for _, row := range slices.Insert(rows, 1, rule) {
		cells := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < left || i == len(row)-1 {
				cells[i] = cell + pad
			} else {
				cells[i] = pad + cell
			}
		}
		b.WriteString("  " + strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	return b.String()
}

// Number writes a value with three significant digits, or more if it has more
// before the point; thousands are separated.
func Number(v float64) string {
	size := math.Abs(v)
	switch {
	case size == 0:
		return "0"
	case size >= 99.95:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// Count writes a whole number, with thousands separated.
func Count(v float64) string { return thousands(strconv.FormatFloat(v, 'f', 0, 64)) }

// thousands puts commas into a whole number.
func thousands(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(strconv.Itoa(n)) + " " + noun + "s"
}

// Head says what was measured on what.
func Head(r Run) string {
	commit := r.Commit[:min(12, len(r.Commit))]
	if r.Dirty {
		commit += " with changes"
	}
	return fmt.Sprintf("ws-bench %s\ncommit %s · %s · Linux %s · %s of %s\n\n",
		strings.Join(r.Args, " "), commit, r.Machine.Go, r.Machine.Kernel, plural(r.Machine.CPUs, "processor"), r.Machine.CPU)
}
