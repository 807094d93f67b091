// Package signals decides what a signal to stop asks for: the first asks for a shutdown,
// a second one to exit at once. It is pure, and imports none of ours: the caller passes
// the time of each signal.
//
// A terminal, a parent and a supervisor may each deliver the same request (Ctrl-C under a
// shell script, coreutils' timeout, a container with an init). Therefore signals within a
// second of the first, of whatever kind, are that request once more.
package signals

import (
	"os"
	"syscall"
	"time"
)

// Repeat is how long after the first signal another one is the same request.
const Repeat = time.Second

// Intent is what a signal asks for.
type Intent uint8

const (
	Nothing Intent = iota // the same once more
	Stop                  // shut down
	StopNow               // exit at once
)

// Judge remembers the first signal. The zero value has had none.
type Judge struct {
	asked bool
	first time.Time
}

// Take returns what a signal that came at this time asks for.
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

// ExitCode is the exit code of a process that a signal has ended, as a shell reports it.
func ExitCode(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 1
}
