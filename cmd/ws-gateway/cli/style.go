package cli

import "ws-gateway/cmd/ws-gateway/internal/terminal"

// shownUser is a user's name; an empty one is shown as two quotes.
func shownUser(name string) string {
	if name == "" {
		return `""`
	}
	return terminal.Printable(name)
}

// The colours of a terminal that has sixteen.
const (
	dim     = "\x1b[2m"
	red     = "\x1b[31m"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	blue    = "\x1b[34m"
	cyan    = "\x1b[36m"
	noColor = "\x1b[0m"
)

// paint colours printable text, if colours are wanted.
func (s *surroundings) paint(color, text string) string {
	if !s.color || color == "" {
		return text
	}
	return color + text + noColor
}
