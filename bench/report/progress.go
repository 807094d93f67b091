package report

import (
	"fmt"
	"io"
)

// Progress shows on one line of a terminal what is under way. The zero value
// shows nothing.
type Progress struct{ w io.Writer }

// NewProgress shows progress on w, which must be a terminal.
func NewProgress(w io.Writer) Progress { return Progress{w} }

// Say replaces what is shown.
func (p Progress) Say(format string, args ...any) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
	}
}

// Clear removes what is shown.
func (p Progress) Clear() { p.Say("") }
