// Package signals decides whether a signal to stop is the first one, the same wish
// once more, or a second wish. It is pure: who receives signals passes the time at
// which each came.
//
// A terminal, a parent and a supervisor may each deliver one wish (Ctrl-C under a
// shell script, coreutils' timeout, a container with an init), so that what comes
// within a second of the first is that wish again, whichever signal it is.
package signals

import (
	"os"
	"syscall"
	"time"
)

// Repeat is how long after the first signal to stop another one is the same wish.
const Repeat = time.Second

// Intent is what is asked for.
type Intent uint8

const (
	Nothing Intent = iota // the same as before
	Stop                  // in good order
	StopNow               // at once
)

// Judge remembers the first signal. The zero Judge has heard of none.
type Judge struct {
	asked bool
	first time.Time
}

// Take returns what a signal to stop asks for that came at this time.
func (j *Judge) Take(at time.Time) Intent {
	switch {
	case !j.asked:
		j.asked, j.first = true, at
		return Stop
	case at.Sub(j.first) < Repeat:
		return Nothing
	}
	return StopNow
}

// ExitCode is the exit code of a process that a signal has ended, as a shell
// reports it.
func ExitCode(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 1
}
