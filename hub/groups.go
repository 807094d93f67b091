package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// A group is a name and the connections in it. Each loop knows in which groups its own
// connections are; h.groups says which loops have members.

// ErrGroupMemory is returned for a join that would take more than Config.GroupMemory.
var ErrGroupMemory = errors.New("hub: there is no memory for more memberships of groups: leave some, or allow more with --group-memory")

// GroupLimitError says which connection would be in too many groups.
type GroupLimitError struct {
	Conn          string // its id; "": any, since the call names so many groups
	Groups, Limit int    // in how many it would be, and may be
}

func (e *GroupLimitError) Error() string {
	if e.Conn == "" {
		return fmt.Sprintf("%d groups are named, and a connection may be in %d: allow more with --max-groups-per-connection", e.Groups, e.Limit)
	}
	return fmt.Sprintf("connection %s would be in %d groups, and may be in %d: leave some first, or allow more with --max-groups-per-connection", e.Conn, e.Groups, e.Limit)
}

// Join makes the targets members of the groups, and returns when every loop has done
// it: a send that is called after that reaches them. matched counts the targets, those
// that were members already included; a connection that is gone is none.
//
// It is done for all of them or for none: the error is then a *groups.NameError, a
// *GroupLimitError, ErrGroupMemory, ErrStopped, or ctx's. If ctx ends while the loops
// are at work, or they end, some may have done it.
func (h *Hub) Join(ctx context.Context, t Targets, names []string) (matched int, err error) {
	if err := checkNames(names); err != nil {
		return 0, err
	}
	j := &join{h: h, names: h.groups.Names(names)}
	if limit := int(h.maxGroups.Load()); len(j.names) > limit { // or a loop would look for all of them at once
		j.over.Store(&GroupLimitError{Groups: len(j.names), Limit: limit})
		return 0, j.refused()
	}
	h.awaitReplies(ctx, t)
	j.aim = h.resolve(t)
	if j.targets() == 1 {
		return j.one(ctx)
	}
	return j.several(ctx)
}

// Leave takes the targets out of those of the groups that they are in, and returns
// when every loop has done it. matched counts the targets. The error is a
// *groups.NameError, ErrStopped or ctx's.
func (h *Hub) Leave(ctx context.Context, t Targets, names []string) (matched int, err error) {
	if err := checkNames(names); err != nil {
		return 0, err
	}
	h.awaitReplies(ctx, t)
	from := h.groups.Names(names)
	return h.visit(ctx, h.resolve(t), leaveCost, func(ls *loopState, c *netpoll.Conn) {
		ls.leave(ByCall, c.ID().Slot(), from)
	})
}

// The costs of a visit, beside the look at the slot, in the unit of sliceBudget.
const (
	readCost  = 4
	listCost  = 32 // to look at each group of the connection
	leaveCost = 16
	joinCost  = 32 // likewise, and 2 for each group of the call
)

func checkNames(names []string) error {
	for _, name := range names {
		if err := groups.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}

// visit has do called with each target, on its loop, and returns how many there were.
func (h *Hub) visit(ctx context.Context, to aim, cost int, do func(ls *loopState, c *netpoll.Conn)) (matched int, err error) {
	return h.visitThen(ctx, to, cost, do, nil)
}

// visitThen is visit, and releases done when the last loop is through.
func (h *Hub) visitThen(ctx context.Context, to aim, cost int, do func(ls *loopState, c *netpoll.Conn), done Releaser) (matched int, err error) {
	cmd := &command{
		aim: to, cost: int32(cost), tally: new(tally), done: done,
		do: func(ls *loopState, c *netpoll.Conn, r *Report) {
			r.Matched++
			do(ls, c)
		},
	}
	if err := h.dispatch(ctx, cmd); err != nil {
		return 0, err
	}
	r, err := cmd.tally.wait(ctx)
	return r.Matched, err
}

// join is one call of Join. For several connections it asks the loops twice: whether
// everything is within the limits, and then to do it. No other join comes between.
type join struct {
	aim
	h     *Hub
	names []groups.Name

	share    int64        // of Hub.joining
	bytes    atomic.Int64 // that the memberships will take
	reserved int64        // of them
	over     atomic.Pointer[GroupLimitError]
}

// Of Hub.joining a change of one connection takes one share, and a join of several takes
// all of them.
const allShares = math.MaxInt64

// begin waits for a share of Hub.joining. Release gives it back.
func (j *join) begin(ctx context.Context, share int64) error {
	if err := j.h.joining.Acquire(ctx, share); err != nil {
		return err
	}
	j.share = share
	return nil
}

// targets is how many connections are named, -1 if that is not known.
func (j *join) targets() (n int) {
	if j.all || j.groups != nil {
		return -1
	}
	for _, ids := range j.ids {
		n += len(ids)
	}
	return n
}

func (j *join) cost() int { return joinCost + 2*len(j.names) }

// need adds what the join would take for one connection, unless it is over its limit.
func (j *join) need(ls *loopState, c *netpoll.Conn) (within bool) {
	n := ls.table(j.h).Need(c.ID().Slot(), j.names)
	if limit := ls.settings.maxGroups; n.Missing > 0 && n.Groups > limit {
		j.over.CompareAndSwap(nil, &GroupLimitError{Conn: j.h.public(c.ID()), Groups: n.Groups, Limit: limit})
		return false
	}
	j.bytes.Add(n.Bytes)
	return true
}

func (j *join) do(ls *loopState, c *netpoll.Conn) {
	ls.join(j.h, ByCall, c.ID().Slot(), j.names, math.MaxInt)
}

// refused counts a call that is over a limit.
func (j *join) refused() error {
	if over := j.over.Load(); over != nil {
		j.h.stats.groupsOverLimit.Add(1)
		return over
	}
	j.h.stats.groupsOverMemory.Add(1)
	return ErrGroupMemory
}

// one checks and joins a single connection in one visit.
func (j *join) one(ctx context.Context) (matched int, err error) {
	if err := j.begin(ctx, 1); err != nil {
		return 0, err
	}
	var refused atomic.Bool
	matched, err = j.h.visitThen(ctx, j.aim, j.cost(), func(ls *loopState, c *netpoll.Conn) {
		if !j.need(ls, c) || !j.reserve(1) {
			refused.Store(true)
			return
		}
		j.do(ls, c)
	}, j)
	if err == nil && refused.Load() {
		return 0, j.refused()
	}
	return matched, err
}

// several checks and joins all.
func (j *join) several(ctx context.Context) (matched int, err error) {
	if err := j.begin(ctx, allShares); err != nil {
		return 0, err
	}
	if err := j.check(ctx); err != nil {
		j.Release()
		return 0, err
	}
	return j.h.visitThen(ctx, j.aim, j.cost(), j.do, j)
}

// check asks the loops whether the join is within the limits, and reserves memory for
// it.
func (j *join) check(ctx context.Context) error {
	_, err := j.h.visit(ctx, j.aim, j.cost(), func(ls *loopState, c *netpoll.Conn) { j.need(ls, c) })
	if err != nil {
		return err
	}
	if j.over.Load() != nil || !j.reserve(len(j.h.loops)) {
		return j.refused()
	}
	return nil
}

// reserve puts memory for the memberships aside, and for the groups on so many loops.
func (j *join) reserve(loops int) bool {
	if j.bytes.Load() > 0 {
		j.bytes.Add(int64(loops) * groups.GroupBytes(j.names))
	}
	if j.h.groups.Reserve(j.bytes.Load()) {
		j.reserved = j.bytes.Load()
		return true
	}
	return false
}

// Release gives back what the join has held: the memory that was reserved, as what is used
// is counted, and its share of Hub.joining.
func (j *join) Release() {
	j.h.groups.Release(j.reserved)
	j.h.joining.Release(j.share)
}

// public returns the public form of an id.
func (h *Hub) public(id netpoll.ID) string { return string(h.instance.appendID(nil, id)) }

// table returns the loop's groups. Only the loop may call it.
func (ls *loopState) table(h *Hub) *groups.Table {
	if ls.groups == nil {
		ls.groups = groups.NewTable(h.groups, ls.index, func(slot uint32) *uint32 { return &ls.sessions.At(slot).Groups })
		if ls.joins != nil {
			ls.groups.Joined = func(slot uint32, group uint64) { ls.joins.add(slot, group, h.clock()) }
		}
	}
	return ls.groups
}

// join makes a connection a member until it is in limit groups.
func (ls *loopState) join(h *Hub, by GroupOrigin, slot uint32, names []groups.Name, limit int) (over int) {
	t := ls.table(h)
	joined, over := t.Join(slot, names, limit)
	ls.grouping.joined(by, t, joined)
	return over
}

// leave takes a connection out of groups.
func (ls *loopState) leave(by GroupOrigin, slot uint32, names []groups.Name) {
	if ls.groups != nil {
		ls.grouping.left(by, ls.groups, ls.groups.Leave(slot, names))
	}
}

// inAny reports whether a connection is in one of the groups.
func (ls *loopState) inAny(slot uint32, names []groups.Name) bool {
	return ls.groups != nil && ls.groups.InAny(slot, names)
}

// groupAim says by loop which of the groups have members there.
type groupAim struct{ byLoop [][]groups.Name }

// locate finds out which loops have members of the groups.
func (h *Hub) locate(names []string) *groupAim {
	a := &groupAim{make([][]groups.Name, len(h.loops))}
	for _, n := range h.groups.Names(names) {
		h.groups.Loops(n, func(loop int) { a.byLoop[loop] = append(a.byLoop[loop], n) })
	}
	return a
}

// membersOf estimates how many connections are in groups.
func (h *Hub) membersOf(a *groupAim) (connections int) {
	all := h.groups.Groups()
	if all == 0 {
		return 0
	}
	most, members := 0, int64(0)
	for i, names := range a.byLoop {
		most = max(most, len(names))
		members += h.loops[i].grouping.members.Load()
	}
	return int(members) * most / all
}

// nextMember is next for a command to groups.
func (t *loopTask) nextMember(l *netpoll.Loop) (c *netpoll.Conn, ok bool) {
	if t.walk == nil {
		if t.ls.groups == nil {
			return nil, false
		}
		t.walk = t.ls.groups.Walk(t.groups.byLoop[t.ls.index])
	}
	slot, found, more := t.walk.Next()
	if !found {
		return nil, more
	}
	if c = l.At(slot); c != nil && t.excludes(c.ID()) {
		return nil, true
	}
	return c, true
}
