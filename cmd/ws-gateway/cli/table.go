package cli

import (
	"io"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// column is one of a table for terminals.
type column struct {
	title string
	least int // how narrow it may become; 0: it is never cut
}

// gap separates columns.
const gap = "  "

// leastWidth is what the columns take if all cells are cut as far as they may be.
func leastWidth(columns []column, rows [][]string) int {
	total := len(gap) * (len(columns) - 1)
	for i, w := range fit(columns, rows, 0) {
		if least := columns[i].least; least > 0 {
			w = min(w, least)
		}
		total += w
	}
	return total
}

// fit returns the widths of the columns: what their cells need, or less if that is more
// than width; the last columns are cut first. With width 0 there is no limit.
func fit(columns []column, rows [][]string, width int) []int {
	widths := make([]int, len(columns))
	total := len(gap) * (len(columns) - 1)
	for i, c := range columns {
		widths[i] = terminal.Columns(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], terminal.Columns(row[i]))
		}
		total += widths[i]
	}
	for i := len(columns) - 1; i >= 0 && width > 0 && total > width; i-- {
		if least := columns[i].least; least > 0 && widths[i] > least {
			spared := min(widths[i]-least, total-width)
			widths[i] -= spared
			total -= spared
		}
	}
	return widths
}

// tableLine is a row in these widths. A cell that does not fit and must not be cut makes
// its row wider.
func tableLine(columns []column, widths []int, row []string) string {
	var b strings.Builder
	for i, cell := range row {
		if columns[i].least > 0 {
			cell = terminal.Cut(cell, widths[i])
		}
		if i > 0 {
			b.WriteString(gap)
		}
		b.WriteString(terminal.Pad(cell, widths[i]))
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

var connColumns = []column{{"USER", 8}, {"ID", 0}, {"SINCE", 0}, {"ADDRESS", 10}, {"AGENT", 8}}

// connRows are rows of connColumns.
func connRows(conns []connection, now time.Time) [][]string {
	rows := make([][]string, 0, len(conns))
	for _, c := range conns {
		rows = append(rows, []string{shownUser(c.Name), terminal.Printable(c.ID), connectedSince(&c, now), terminal.Printable(c.RemoteAddr), terminal.Printable(c.UserAgent)})
	}
	return rows
}

func connectedSince(c *connection, now time.Time) string {
	if c.Away {
		return since(c.ConnectedAt, now) + ", away"
	}
	return since(c.ConnectedAt, now)
}

// pagedTable is a table whose rows come in pages. The first page determines the widths,
// except that the last column takes what is left of the terminal. If the table does not
// fit, each row is a block of lines instead.
type pagedTable struct {
	columns []column
	width   int // of the terminal; 0: any
	widths  []int
	blocks  bool
}

func (t *pagedTable) write(out io.Writer, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if t.widths == nil {
		rows = t.begin(rows)
	}
	for _, row := range rows {
		if _, err := io.WriteString(out, t.row(row)); err != nil {
			return err
		}
	}
	return nil
}

// begin chooses the layout of the rows, and puts the titles above them.
func (t *pagedTable) begin(rows [][]string) [][]string {
	t.widths = fit(t.columns, rows, t.width)
	if t.blocks = t.width > 0 && leastWidth(t.columns, rows) > t.width; t.blocks {
		return rows
	}
	titles := make([]string, len(t.columns))
	taken := 0
	for i, c := range t.columns {
		titles[i] = c.title
		taken += t.widths[i] + len(gap)
	}
	last := len(t.columns) - 1
	if rest := t.width - (taken - t.widths[last] - len(gap)); rest > t.widths[last] {
		t.widths[last] = rest
	}
	return append([][]string{titles}, rows...)
}

func (t *pagedTable) row(row []string) string {
	if t.blocks {
		return block(row, t.width)
	}
	line := tableLine(t.columns, t.widths, row)
	if t.width > 0 {
		// On a later page a cell that must not be cut may be longer.
		line = terminal.Cut(strings.TrimSuffix(line, "\n"), t.width) + "\n"
	}
	return line
}

// block is a row as lines: the first cell, and below it the others. None is cut.
func block(row []string, width int) string {
	var b strings.Builder
	for i, cell := range row {
		indent := gap
		if i == 0 {
			indent = ""
		}
		if cell == "" {
			continue
		}
		for _, line := range terminal.Wrap(cell, width, indent, gap) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// since is a time in the past, with its date if it is half a day ago.
func since(t, now time.Time) string {
	if t = t.In(now.Location()); now.Sub(t) < 12*time.Hour {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2006-01-02 15:04")
}
