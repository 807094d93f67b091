package sink

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"ws-gateway/bench/contract"
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

// audit holds every connection's events against the contract as they come. Only the
// last event may come again, as a further attempt.
type audit struct {
	mu     sync.Mutex
	conns  map[string]contract.Life // guarded by mu
	groups map[string]*Group        // guarded by mu
}

func newAudit() *audit {
	return &audit{conns: make(map[string]contract.Life), groups: make(map[string]*Group)}
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
	number, named := strings.CutPrefix(id, conn+"-")
	seq, err := strconv.ParseUint(number, 10, 64)
	life := a.conns[conn]
	if life.Begun() && err == nil && seq+1 == life.Due() && attempt != "1" {
		g.Repeats++
		return
	}
	kind, first, open := contract.KindOf(action), !life.Begun(), !life.Closed()
	if !named || err != nil {
		g.fault("an event of connection %s is called %q", conn, id)
		seq = life.Due() // it is judged by its kind
	}
	if breach := life.Take(kind, seq); breach != contract.None {
		g.fault("event %d of connection %s, its %s, %v", seq, conn, action, breach)
	}
	a.conns[conn] = life
	if first {
		g.Open++
	}
	switch {
	case kind == contract.Message:
		g.Message++
	case kind == contract.Close && open:
		g.Close++
	}
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
