package cluster

import (
	"maps"
	"time"
)

// A client whose session may still be there is told to come back, and keeps it. It must not
// be told so for ever: an instance may be heard and answer nothing, and a link may come and
// go. So for each session it is remembered since when its client is told so here. If the client
// has resumed it elsewhere meanwhile, as a token of another turn shows, that begins anew.

const (
	// mostComebacks is how many sessions are remembered. The clients of others are told to
	// come back as well, for as long as there are so many.
	mostComebacks = 16 << 10

	// comesBackWithin is how long a client takes from one attempt to the next.
	comesBackWithin = 30 * time.Second
)

// comebacks are the sessions whose clients were told to come back, as the instances that have
// them do not answer, or there is no relay to them.
type comebacks struct {
	longest  time.Duration // for which a client is told so
	by       map[string]comeback
	forgetAt time.Duration
}

type comeback struct {
	turn        uint32 // of the client's token
	first, last time.Duration
}

func newComebacks(longest time.Duration) comebacks {
	return comebacks{longest: longest, by: map[string]comeback{}}
}

// again notes that a session is not answered for, and reports whether its client, whose token
// is of this turn, is to be told to come back: false if it has been told so for long enough.
func (c *comebacks) again(session string, turn uint32, now time.Duration) bool {
	if now >= c.forgetAt {
		maps.DeleteFunc(c.by, func(_ string, b comeback) bool { return now-b.last > c.longest+comesBackWithin })
		c.forgetAt = now + time.Second
	}
	b, known := c.by[session]
	switch {
	case !known && len(c.by) >= mostComebacks:
		return true
	case !known, b.turn != turn:
		b.turn, b.first = turn, now
	case now-b.first >= c.longest:
		delete(c.by, session)
		return false
	}
	b.last = now
	c.by[session] = b
	return true
}

// answered notes that a session was answered for.
func (c *comebacks) answered(session string) { delete(c.by, session) }
