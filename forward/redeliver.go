package forward

import (
	"slices"

	"ws-gateway/forward/deadletter"
	"ws-gateway/forward/headers"
)

// Redeliver appends an event that failed before to the lane of key. Its number of attempts
// goes on from where it was.
func (f *Forwarder) Redeliver(key uint64, l *deadletter.Letter) {
	e := f.events.get(len(l.Event) + len(l.RequestID))
	e.buf = append(append(e.buf, l.Event...), l.RequestID...)
	e.body, e.conn = len(l.Event), uint32(len(l.ConnID))
	e.action = action(slices.Index(actionNames[:], l.Action)) // Parse takes no other
	e.attempts = l.Attempts
	e.cookie, e.headers = headers.Unpack(l.Headers)
	f.append(&Source{Key: key, ConnID: []byte(l.ConnID), User: l.User, Headers: l.Headers}, e)
}

// Reopen looks whether the dead-letter file still is the one with its name, as is done
// before each letter, and reports whether letters now go to the file with that name.
// The log says what was found.
func (f *Forwarder) Reopen() bool { return f.letters.Reopen() }
