package hub

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
)

// ListMembers is List for the connections that are in any of the groups; nil stands for
// all connections. It takes 8 bytes of memory for each member. The next page's query must
// be for the same groups. The error is that of List, ErrStopped or ctx's; ctx bounds the
// search for members, not the list.
func (h *Hub) ListMembers(ctx context.Context, groups []string, q Query, yield func(user string, conns []Info) error) (next string, err error) {
	if groups == nil {
		if h.cfg.Meta != nil {
			h.awaitReplies(ctx, Targets{All: true})
		}
		return h.List(q, yield)
	}
	names := slices.Clone(groups)
	slices.Sort(names)
	names = slices.Compact(names)
	ids, err := h.members(ctx, names)
	if err != nil {
		return "", err
	}
	q.Among = &directory.Among{IDs: ids, Label: strings.Join(names, "\xff")}
	return h.List(q, yield)
}

// CountMembers is Count for the connections that are in any of the groups, nil standing for
// all connections, and that q selects, whose Limit and Cursor mean nothing.
func (h *Hub) CountMembers(ctx context.Context, groups []string, q Query) (connections, users int, err error) {
	q.Limit, q.Cursor = 0, ""
	switch {
	case q.Selective():
		return h.countListed(ctx, groups, q)
	case groups == nil:
		connections, users = h.Count()
		return connections, users, nil
	}
	ids, err := h.members(ctx, groups)
	if err != nil {
		return 0, 0, err
	}
	names := make(map[string]struct{})
	for _, id := range ids {
		if user, ok := h.directory.UserOf(id); ok {
			connections++
			names[user] = struct{}{}
		}
	}
	return connections, len(names), nil
}

// countListed counts what ListMembers lists.
func (h *Hub) countListed(ctx context.Context, groups []string, q Query) (connections, users int, err error) {
	last := ""
	_, err = h.ListMembers(ctx, groups, q, func(user string, conns []Info) error {
		if connections == 0 || user != last { // a user that the list has left does not come again
			users++
		}
		connections += len(conns)
		last = user
		return ctx.Err()
	})
	return connections, users, err
}

// GroupSizes returns how many connections the groups have, added up: at least as many
// as are in any of them.
func (h *Hub) GroupSizes(ctx context.Context, groups []string) (connections int, err error) {
	h.awaitReplies(ctx, Targets{Groups: groups})
	var hashes []uint64
	for _, name := range h.groups.Names(groups) {
		hashes = append(hashes, name.Hash())
	}
	for some := range slices.Chunk(hashes, groupsAtOnce) {
		found, err := h.describe(ctx, some)
		if err != nil {
			return 0, err
		}
		for _, g := range found {
			connections += g.Connections
		}
	}
	return connections, nil
}

// MembershipsOf returns in how many groups the connections of users are, added up: at
// least as many as ListGroups lists for them.
func (h *Hub) MembershipsOf(ctx context.Context, users []string) (groups int, err error) {
	of := Targets{Users: slices.Clone(users)}
	h.awaitReplies(ctx, of)
	var sum atomic.Int64
	_, err = h.visit(ctx, h.resolve(of), listCost, func(ls *loopState, c *netpoll.Conn) {
		if ls.groups != nil {
			sum.Add(int64(ls.groups.Need(c.ID().Slot(), nil).Groups))
		}
	})
	return int(sum.Load()), err
}

// members returns the ids of all connections in any of the groups, ascending.
func (h *Hub) members(ctx context.Context, groups []string) ([]netpoll.ID, error) {
	if len(groups) == 0 {
		return nil, nil
	}
	of := Targets{Groups: groups}
	h.awaitReplies(ctx, of)
	found := make([][]netpoll.ID, len(h.loops)) // each loop has its own
	_, err := h.visit(ctx, h.resolve(of), readCost, func(ls *loopState, c *netpoll.Conn) {
		found[ls.index] = append(found[ls.index], c.ID())
	})
	if err != nil {
		return nil, err
	}
	ids := slices.Concat(found...)
	slices.Sort(ids)
	return ids, nil
}
