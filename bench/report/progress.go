package report

import (
	"fmt"
	"io"
)

// Progress shows on one line of a terminal what is under way. The zero value
// shows nothing.
type Progress struct {
	w       io.Writer
	columns int
}

// NewProgress shows progress on w, a terminal so many columns wide. What is
// longer is cut: a line that wraps could not be replaced.
func NewProgress(w io.Writer, columns int) Progress { return Progress{w, columns} }

const clearLine = "\r\x1b[K"

// Say replaces what is shown.
func (p Progress) Say(format string, args ...any) {
	if p.w == nil {
		return
	}
	text := []rune(fmt.Sprintf(format, args...))
	if p.columns > 0 && len(text) >= p.columns {
		text = append(text[:max(0, p.columns-2)], '…')
	}
	fmt.Fprint(p.w, clearLine+string(text))
}

// Clear removes what is shown.
func (p Progress) Clear() { p.Say("") }
