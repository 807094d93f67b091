package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Rows are rounds as rows, with a column for each figure that has a head and each
// with its verdict, and below them what is to be said of each.
func Rows(title string, rounds []Round) string {
	head := []string{title}
	for _, r := range rounds {
		for _, f := range r.Figures {
			if f.Head != "" && !slices.Contains(head[1:], f.Head) {
				head = append(head, f.Head)
			}
		}
	}
	rows := [][]string{append(head, "verdict")}
	for _, r := range rounds {
		row := make([]string, len(head)+1)
		row[0], row[len(head)] = r.Case, "ok"
		for _, f := range r.Figures {
			if i := slices.Index(head, f.Head); i > 0 {
				row[i] = cell(f)
			}
		}
		if len(r.Broken) > 0 {
			row[len(head)] = "BROKEN"
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	b.WriteString(layOut(rows, 1) + "\n")
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

// cell shows a figure.
func cell(f Figure) string {
	if f.Unit == "" && f.Value == math.Trunc(f.Value) {
		return Count(f.Value)
	}
	return Number(f.Value)
}
