package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// remaining counts the lines that have not been read.
func (r *replay) remaining() (n int, err error) {
	for {
		l, err := r.lines.next()
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case !r.done.has(l.offset):
			n++
		}
	}
}

// summarise prints what became of the events. It returns an error unless all is well.
func (r *replay) summarise() error {
	out := r.p.Stdout
	fmt.Fprintf(out, "delivered %d, refused %d, unreadable %d, left %d", r.delivered, r.refused, r.lines.bad, r.left)
	if r.lines.skipped > 0 {
		fmt.Fprintf(out, ", dealt with before %d", r.lines.skipped)
	}
	fmt.Fprintln(out)
	if r.refused > 0 {
		fmt.Fprintf(out, "what the app refused is in %s\n", r.path+".refused")
	}
	if r.lines.partial {
		fmt.Fprintln(out, "the last line is not complete: it is left for the next time")
	}
	switch {
	case r.failure != nil:
		return fmt.Errorf("replay ended early: %w; the same command goes on where it was", r.failure)
	case r.refused > 0 || r.lines.bad > 0:
		return errors.New("not all events were delivered")
	}
	return nil
}

// rehearse prints what would be sent.
func (r *replay) rehearse() error {
	out := bufio.NewWriter(r.p.Stdout)
	valid := 0
	for {
		l, err := r.lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if r.done.has(l.offset) {
			r.lines.skipped++
			continue
		}
		parsed, err := l.parse()
		if err != nil {
			r.lines.bad++
			fmt.Fprintf(out, "line %d: cannot be sent: %v\n", l.number, err)
			continue
		}
		valid++
		fmt.Fprintf(out, "line %d: %s of user %q, X-Request-Id %s, X-Attempt %d, %d bytes\n",
			l.number, parsed.Action, parsed.User, parsed.RequestID, parsed.Attempts+1, len(parsed.Event))
	}
	fmt.Fprintf(out, "%d would be sent, %d are unreadable, %d are dealt with\n", valid, r.lines.bad, r.lines.skipped)
	if err := out.Flush(); err != nil {
		return err
	}
	if r.lines.bad > 0 {
		return fmt.Errorf("%d lines cannot be sent", r.lines.bad)
	}
	return nil
}
