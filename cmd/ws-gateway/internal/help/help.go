// Package help prints the help of a kong command line so that it fits the terminal:
// kong's two columns, or on narrow terminals one below the other. It imports
// internal/terminal.
package help

import (
	"io"
	"strconv"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

const (
	twoColumns = 80  // the least width for kong's two columns
	widest     = 120 // help does not get wider than this
)

// Options make a kong parser print its help to out, and nothing elsewhere. style is
// kong's, but for its width.
func Options(out io.Writer, env map[string]string, style kong.HelpOptions) []kong.Option {
	style.WrapUpperBound = widest
	return []kong.Option{
		kong.ConfigureHelp(style),
		kong.Help(func(style kong.HelpOptions, ctx *kong.Context) error {
			if width := columns(out, env); width < twoColumns {
				return printNarrow(out, ctx, width)
			}
			return kong.DefaultHelpPrinter(style, ctx)
		}),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }), // without the default, which the text has
		kong.Writers(out, io.Discard),
	}
}

// columns is the width to write for, as kong determines it: COLUMNS, else the
// terminal's, else 80.
func columns(out io.Writer, env map[string]string) int {
	if n, err := strconv.Atoi(env["COLUMNS"]); err == nil && n > 0 {
		return n
	}
	if n := terminal.Width(out); n > 0 {
		return n
	}
	return 80
}
