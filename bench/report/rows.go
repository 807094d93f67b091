package report

import (
	"fmt"
	"math"
	"strings"
)

// Column of a table that has a row for each case.
type Column struct {
	Head   string
	Figure string // name of the figure that it shows
}

// Rows are rounds as rows under columns, each with its verdict, and
// below them what is to be said of each.
func Rows(title string, columns []Column, rounds []Round) string {
	head := []string{title}
	for _, c := range columns {
		head = append(head, c.Head)
	}
	rows := [][]string{append(head, "verdict")}
	for _, r := range rounds {
		row := []string{r.Case}
		for _, c := range columns {
			row = append(row, cell(r, c))
		}
		verdict := "ok"
		if len(r.Broken) > 0 {
			verdict = "BROKEN"
		}
		rows = append(rows, append(row, verdict))
	}
	var b strings.Builder
	layOut(&b, rows, 1)
	b.WriteByte('\n')
	for _, r := range rounds {
		fmt.Fprintf(&b, "  %s\n", r.Case)
		for _, text := range r.Notes {
			fmt.Fprintf(&b, "    %s\n", text)
		}
		for _, text := range r.Broken {
			fmt.Fprintf(&b, "    BROKEN: %s\n", text)
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// cell shows a figure, or nothing where a round has none of that name.
func cell(r Round, c Column) string {
	for _, f := range r.Figures {
		switch {
		case f.Name != c.Figure:
		case f.Unit == "" && f.Value == math.Trunc(f.Value):
			return Count(f.Value)
		default:
			return Number(f.Value)
		}
	}
	return ""
}
