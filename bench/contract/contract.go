// Package contract judges the events of one connection by what docs/protocol.md
// promises the app: exactly one open, then messages in order, then exactly one close,
// nothing left out and nothing after it.
//
//	sink: an App that audits, and a Counter      each event as it comes  ──▶ Life
//	chaos: an audit, of what was read at the end  a connection by numbers ──▶ Life
//
// How events are kept and told apart, what an attempt is, and what a message must say
// is its callers' business. It is pure and imports nothing of ours.
package contract

// Kind is what an event says has happened.
type Kind uint8

// The kinds; Unknown is none of the protocol's.
const (
	Unknown Kind = iota
	Open
	Message
	Close
)

// KindOf is that of an event's "action".
func KindOf(action string) Kind {
	switch action {
	case "open":
		return Open
	case "message":
		return Message
	case "close":
		return Close
	}
	return Unknown
}

// Breach is how an event breaks the contract.
type Breach uint8

// The breaches. If an event is several, the first of them is told.
const (
	None      Breach = iota
	NoKind           // it is neither open, message nor close
	Unopened         // it is the connection's first and no open
	Reopened         // it is a second open
	Late             // it came after the close
	Skipping         // events before it are missing
	Backwards        // it came before, or after those that follow it
	Unclosed         // it is the last and no close
)

var breaches = [...]string{
	None: "is right", NoKind: "is of no known kind", Unopened: "came before the open", Reopened: "is a second open", Late: "came after the close",
	Skipping: "came before those that precede it", Backwards: "came again, or after those that follow it", Unclosed: "is the last, and no close",
}

// String goes on after the event's name.
func (b Breach) String() string { return breaches[b] }

// Life is what has come of a connection. The zero value is one of which nothing has.
type Life struct {
	next  uint64 // once something has come: the number of the event that is due
	stage Kind   // Unknown until something has come, then Open, after the close Close
}

// Begun reports whether an event has come.
func (l *Life) Begun() bool { return l.stage != Unknown }

// Closed reports whether a close has come.
func (l *Life) Closed() bool { return l.stage == Close }

// Due is the number that the next event must have; the open's is 1.
func (l *Life) Due() uint64 {
	if !l.Begun() {
		return 1
	}
	return l.next
}

// Take takes the next event and says what is wrong with it. Whatever it is, it counts
// as having come: each breach is told once.
func (l *Life) Take(k Kind, number uint64) Breach {
	b := l.judge(k, number)
	l.next = max(l.Due(), number+1)
	switch {
	case k == Close:
		l.stage = Close
	case !l.Begun():
		l.stage = Open
	}
	return b
}

func (l *Life) judge(k Kind, number uint64) Breach {
	switch due := l.Due(); {
	case k == Unknown:
		return NoKind
	case !l.Begun() && k != Open:
		return Unopened
	case l.Begun() && k == Open:
		return Reopened
	case l.Closed():
		return Late
	case number > due:
		return Skipping
	case number < due:
		return Backwards
	}
	return None
}

// End says what is wrong if nothing more comes.
func (l *Life) End() Breach {
	if l.Begun() && !l.Closed() {
		return Unclosed
	}
	return None
}
