package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteBroken prints what was broken in the rounds of a case, and nothing where
// nothing was.
func WriteBroken(w io.Writer, rounds []Round) error {
	var b strings.Builder
	for _, r := range rounds {
		for _, text := range r.Broken {
			fmt.Fprintf(&b, "  BROKEN: %s (round %d)\n", text, r.Round)
		}
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
