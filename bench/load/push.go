package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Calls says what a Push does.
type Calls struct {
	// API is the management API. Without one a call is a message that the first
	// connection sends, and that the server sends to all: there is one Group then.
	API     netip.AddrPort
	Message *Message // payload of each call, marked with the numbers of group and call; for the API it must be JSON
	Groups  []Group  // called in turn

	// Callers is the number of connections to the API; each has at most one call
	// under way. Default 1.
	Callers int

	// Rate is calls a second (open loop): each call has a due time, and all that is
	// measured of it counts from then, also when no caller was free. 0 is the closed
	// loop: a caller makes its next call when it has the answer to the last.
	//
	// In either loop a group is called again only when its last call has been
	// answered and delivered to all of it.
	Rate float64

	// Limit is how many calls are made; all of them are recorded, without Begin.
	// 0: calls are made until End, those between Begin and End are recorded.
	Limit int

	Drain time.Duration // to wait for what is outstanding at the end; default 5 s
}

// Group is the targets of one call.
type Group struct {
	To           string // the members of the call's object that name them, such as "conn_id":"x"
	First, Count int    // the connections that are them; no connection is in two groups
}

// Push is calls of the management API under way, from Client.Push to End. The
// Client's thread makes the calls, and checks every delivery: right to the byte,
// on a connection that was meant, once, in order, and not before its call.
type Push struct {
	*Exchange
	push *push
}

// PushResult is of the recorded part of a Push. Messages of Result are
// deliveries, and Latency is theirs: from the call's begin or due time to the
// arrival at one connection.
type PushResult struct {
	Result
	Calls  uint64                  // answered with success
	Answer *hdrhistogram.Histogram // nanoseconds from the call's begin or due time to its answer
	Last   *hdrhistogram.Histogram // nanoseconds from the call's begin or due time to the arrival at the last connection
}

// Push begins to call. It is for a Client of one thread whose connections are
// open. The caller must call End.
func (c *Client) Push(calls Calls) (*Push, error) {
	if len(c.workers) != 1 {
		return nil, errors.New("load: a push needs a client of one thread")
	}
	calls.Callers = max(calls.Callers, 1)
	if calls.Drain <= 0 {
		calls.Drain = 5 * time.Second
	}
	w := c.workers[0]
	p, err := newPush(calls, w)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	x := &Exchange{drain: calls.Drain, client: c}
	begun := make(chan struct{})
	x.launch(func(w *worker) {
		defer close(w.ex.handed)
		<-begun
		w.turns(x, p.pace, p.serve)
		p.finish(calls.Drain)
	})
	if calls.Limit > 0 {
		x.Begin()
	}
	close(begun)
	return &Push{x, p}, nil
}

// Done is closed when Limit calls have been made, answered and delivered, or
// something has failed, which End reports.
func (p *Push) Done() <-chan struct{} { return p.push.done }

// End stops recording and calling, waits for what is outstanding, and reports.
func (p *Push) End() PushResult {
	last := p.readings()[0]
	r := PushResult{Result: p.Exchange.End(), Answer: p.push.answer, Last: p.push.last}
	if first := p.first; first != nil {
		r.Calls = last.calls - first[0].calls
	}
	return r
}

// checkGroups finds groups that cannot be, and returns the group of each of n
// connections, -1 for none.
func checkGroups(groups []Group, n int) ([]int32, error) {
	if len(groups) == 0 {
		return nil, errors.New("a push without groups")
	}
	of := slices.Repeat([]int32{-1}, n)
	for g, group := range groups {
		if group.First < 0 || group.Count < 1 || group.First+group.Count > n {
			return nil, fmt.Errorf("group %d has connections %d to %d, of %d", g, group.First, group.First+group.Count-1, n)
		}
		for i := group.First; i < group.First+group.Count; i++ {
			if of[i] >= 0 {
				return nil, fmt.Errorf("connection %d is in groups %d and %d", i, of[i], g)
			}
			of[i] = int32(g)
		}
	}
	return of, nil
}
