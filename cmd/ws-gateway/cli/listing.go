package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// listPage is how many connections or groups are asked for at a time, and are in memory.
const listPage = 500

// listing prints what the gateway lists in pages: as lines of JSON, as a table on a
// terminal, or as lines of fields for programs.
type listing[T any] struct {
	limit  int // of what is printed; 0: none
	asJSON bool

	columns []column
	rows    func([]T) [][]string       // of the table
	fields  func(io.Writer, []T) error // writes the lines of fields
	none    string                     // said on a terminal if there is nothing

	// page asks for so many after cursor. next is "" if there are no more.
	page func(limit int, cursor string) (listed []T, next string, err error)
}

func (l *listing[T]) print(s *surroundings) error {
	table := &pagedTable{columns: l.columns, width: s.width}
	write := func(out io.Writer, listed []T) error { return table.write(out, l.rows(listed)) }
	switch {
	case l.asJSON:
		write = writeJSON
	case !s.outTerminal:
		write = l.fields
	}
	out := bufio.NewWriter(s.out)
	shown, cursor := 0, ""
	for {
		n := listPage
		if l.limit > 0 {
			n = min(n, l.limit-shown)
		}
		listed, next, err := l.page(n, cursor)
		if err != nil {
			return err
		}
		if err := write(out, listed); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		shown += len(listed)
		if cursor = next; cursor == "" || l.limit > 0 && shown >= l.limit {
			break
		}
	}
	if shown == 0 && s.outTerminal && !l.asJSON {
		s.note("%s", l.none)
	}
	return nil
}

// writeJSON writes a line of JSON for each of what is listed.
func writeJSON[T any](out io.Writer, listed []T) error {
	var line strings.Builder
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	for i := range listed {
		line.Reset()
		if err := e.Encode(&listed[i]); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, terminal.PrintableJSON([]byte(strings.TrimSpace(line.String())))); err != nil {
			return err
		}
	}
	return nil
}
