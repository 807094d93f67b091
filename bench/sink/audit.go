package sink

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Group is what an App that audits has seen of the users whose names share what
// comes before their first '-'.
type Group struct {
	Open    uint64 `json:"open"`    // connections, each with its first open event
	Message uint64 `json:"message"` // events, repeated ones not counted
	Close   uint64 `json:"close"`   // connections, each with its first close event
	Repeats uint64 `json:"repeats"` // events that came again, and said so
	Faults  uint64 `json:"faults"`  // events that were out of order, twice, or strays
	Fault   string `json:"fault,omitempty"`
}

// audit holds every connection's events against the contract: one open, then
// messages, then one close; numbers without a gap; what comes again is the last
// event and a further attempt.
type audit struct {
	mu     sync.Mutex
	conns  map[string]history // guarded by mu
	groups map[string]*Group  // guarded by mu
}

type history struct {
	seq    uint64 // of the last event
	closed bool
}

func newAudit() *audit {
	return &audit{conns: make(map[string]history), groups: make(map[string]*Group)}
}

// event takes an event; id is its X-Request-Id.
func (a *audit) event(action, conn, user, id, attempt string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name, _, _ := strings.Cut(user, "-")
	g := a.groups[name]
	if g == nil {
		g = &Group{}
		a.groups[name] = g
	}
	number, found := strings.CutPrefix(id, conn+"-")
	seq, err := strconv.ParseUint(number, 10, 64)
	last, known := a.conns[conn]
	if known && err == nil && seq == last.seq && attempt != "1" {
		g.Repeats++
		return
	}
	switch {
	case !found || err != nil:
		g.fault("an event of connection %s is called %q", conn, id)
	case !known && action != "open":
		g.fault("the first event of connection %s is a %s", conn, action)
	case known && action == "open":
		g.fault("connection %s opened twice", conn)
	case last.closed:
		g.fault("connection %s had a %s after its close", conn, action)
	case known && seq != last.seq+1:
		g.fault("connection %s had event %d after event %d", conn, seq, last.seq)
	}
	if !known {
		g.Open++
	}
	switch {
	case action == "message":
		g.Message++
	case action == "close" && !last.closed:
		g.Close++
	}
	a.conns[conn] = history{seq: seq, closed: last.closed || action == "close"}
}

func (g *Group) fault(format string, args ...any) {
	g.Faults++
	if g.Fault == "" {
		g.Fault = fmt.Sprintf(format, args...)
	}
}

func (a *audit) snapshot() map[string]Group {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]Group, len(a.groups))
	for name, g := range a.groups {
		all[name] = *g
	}
	return all
}
