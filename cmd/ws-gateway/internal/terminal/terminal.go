// Package terminal is for output that people read on a terminal: what a terminal is and
// how wide it is, text that is safe to print and fits into its columns, and a progress
// bar.
//
// It imports none of ours.
package terminal

import (
	"io"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// Is reports whether w is a terminal: a file, or the log's queue in front of one.
func Is(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && isatty.IsTerminal(f.Fd())
}

// Width is how many columns the terminal has; 0 if out is none, or does not say.
func Width(out io.Writer) int {
	file, ok := out.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
