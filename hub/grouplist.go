package hub

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"ws-gateway/netpoll"
)

// Group describes a group.
type Group struct {
	Name        string
	Connections int
}

// GroupQuery says which groups a list has, and where a page of it begins and ends.
type GroupQuery struct {
	Conn   string   // only those of this connection
	Users  []string // only those of these users' connections; without Conn
	Limit  int      // groups at most; 0: all
	Cursor string   // where the page before ended
}

// groupsAtOnce is how many groups a list asks the loops about in one task.
const groupsAtOnce = 256

// ListGroups calls yield with the groups that q selects and how many connections are
// in each of them, and returns the cursor of the next page, or "". A group that exists
// throughout is listed exactly once. The slice is valid during the call, which no loop
// waits for. The next page's query must have the same Conn and Users.
//
// The error is that of yield, ErrCursor, ErrStopped or ctx's. For some connections'
// groups the list takes 8 bytes of memory for each; for all, none that grows.
func (h *Hub) ListGroups(ctx context.Context, q GroupQuery, yield func([]Group) error) (next string, err error) {
	of := q.targets()
	after := uint64(0)
	if q.Cursor != "" {
		if after, err = h.groupPlace(q.Cursor, of); err != nil {
			return "", err
		}
	}
	h.awaitReplies(ctx, of)
	source, err := h.hashesOf(ctx, of)
	if err != nil {
		return "", err
	}
	for listed := 0; ; {
		room := groupsAtOnce
		if q.Limit > 0 {
			room = min(room, q.Limit-listed)
		}
		if room <= 0 {
			if len(source(after, 1)) == 0 {
				return "", nil
			}
			return h.groupCursor(after, of), nil
		}
		hashes := source(after, room)
		if len(hashes) == 0 {
			return "", nil
		}
		after = hashes[len(hashes)-1]
		page, err := h.describe(ctx, hashes)
		if err != nil {
			return "", err
		}
		listed += len(page)
		if len(page) == 0 {
			continue // they have ended meanwhile
		}
		if err := yield(page); err != nil {
			return "", err
		}
	}
}

// targets are the connections whose groups the query selects; All means that it
// selects all groups.
func (q *GroupQuery) targets() Targets {
	switch {
	case q.Conn != "":
		return Targets{Conn: q.Conn}
	case len(q.Users) > 0:
		return Targets{Users: slices.Clone(q.Users)}
	default:
		return Targets{All: true}
	}
}

// hashesOf returns a function that gives the hashes of the groups of some connections,
// or of all groups, ascending.
func (h *Hub) hashesOf(ctx context.Context, of Targets) (func(after uint64, limit int) []uint64, error) {
	if of.All {
		var buf [groupsAtOnce]uint64
		return func(after uint64, limit int) []uint64 { return h.groups.Hashes(buf[:0], after, limit) }, nil
	}
	if h.groups.Groups() == 0 {
		return func(uint64, int) []uint64 { return nil }, nil
	}
	found := make([][]uint64, len(h.loops)) // each loop has its own
	marks := make([]uint32, len(h.loops))
	_, err := h.visit(ctx, h.resolve(of), listCost, func(ls *loopState, c *netpoll.Conn) {
		if ls.groups == nil {
			return
		}
		if marks[ls.index] == 0 {
			marks[ls.index] = ls.groups.Mark()
		}
		found[ls.index] = ls.groups.Unmarked(found[ls.index], c.ID().Slot(), marks[ls.index])
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	slices.Sort(all)
	all = slices.Compact(all)
	return func(after uint64, limit int) []uint64 {
		i, _ := slices.BinarySearch(all, after+1)
		return all[i:min(i+limit, len(all))]
	}, nil
}

// describe asks the loops for the groups that have these hashes, at most groupsAtOnce.
func (h *Hub) describe(ctx context.Context, hashes []uint64) ([]Group, error) {
	ask := make([][]uint64, len(h.loops))
	for _, hash := range hashes {
		h.groups.LoopsOf(hash, func(loop int) { ask[loop] = append(ask[loop], hash) })
	}
	answers := make(chan []Group, len(h.loops))
	asked := 0
	for i, ls := range h.loops {
		if len(ask[i]) == 0 {
			continue
		}
		err := ls.loop.PostContext(ctx, func(*netpoll.Loop) bool {
			answers <- ls.describe(ask[i])
			return false
		})
		if err != nil {
			return nil, stopped(err)
		}
		asked++
	}
	counts := make(map[string]int, len(hashes))
	page := make([]Group, 0, len(hashes))
	for range asked {
		select {
		case part := <-answers:
			for _, g := range part {
				if _, ok := counts[g.Name]; !ok {
					page = append(page, g)
				}
				counts[g.Name] += g.Connections
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for i := range page {
		page[i].Connections = counts[page[i].Name]
	}
	return page, nil
}

// describe runs on the loop.
func (ls *loopState) describe(hashes []uint64) []Group {
	part := make([]Group, 0, len(hashes))
	if ls.groups == nil {
		return nil
	}
	for _, hash := range hashes {
		ls.groups.Lookup(hash, func(name []byte, members int) { part = append(part, Group{string(name), members}) })
	}
	return part
}

// GroupsOf returns the names of the groups that a connection is in, sorted. ok is
// false if there is no such connection. The error is ErrStopped or ctx's.
func (h *Hub) GroupsOf(ctx context.Context, id string) (names []string, ok bool, err error) {
	if _, ok := h.Get(id); !ok {
		return nil, false, nil
	}
	if h.groups.Groups() == 0 && h.cfg.Settle == nil {
		return nil, true, nil
	}
	of := Targets{Conn: id}
	h.awaitReplies(ctx, of)
	n, err := h.visit(ctx, h.resolve(of), readCost, func(ls *loopState, c *netpoll.Conn) {
		if ls.groups != nil {
			names = ls.groups.GroupsOf(nil, c.ID().Slot())
		}
	})
	if err != nil {
		return nil, false, err
	}
	slices.Sort(names)
	return names, n > 0, nil
}

// Describe describes a connection and the groups that it is in, sorted. ok is false if
// there is no such connection. The error is ErrStopped or ctx's.
func (h *Hub) Describe(ctx context.Context, id string) (info Info, groups []string, ok bool, err error) {
	if groups, ok, err = h.GroupsOf(ctx, id); !ok || err != nil {
		return Info{}, nil, false, err
	}
	info, ok = h.Get(id)
	return info, groups, ok, nil
}

// A cursor of ListGroups is the hash of the last group that was listed, and two
// hashes that tell whether it is one of this query and this gateway.
const groupCursorBytes = 8 + 8

var groupCursorEncoding = base64.RawURLEncoding.Strict()

func (h *Hub) groupCursor(after uint64, of Targets) string {
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, groupCursorBytes), after)
	return groupCursorEncoding.EncodeToString(binary.BigEndian.AppendUint64(raw, h.seal(after, of)))
}

// seal is a hash of a cursor and its query, whose seed is drawn at the start.
func (h *Hub) seal(after uint64, of Targets) uint64 {
	parts := append([]string{string(binary.BigEndian.AppendUint64(nil, after)), of.Conn}, of.Users...)
	return h.groups.Name(strings.Join(parts, "\xff")).Hash()
}

func (h *Hub) groupPlace(cursor string, of Targets) (after uint64, err error) {
	if len(cursor) != groupCursorEncoding.EncodedLen(groupCursorBytes) {
		return 0, ErrCursor
	}
	raw, err := groupCursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) != groupCursorBytes {
		return 0, ErrCursor
	}
	after = binary.BigEndian.Uint64(raw)
	if binary.BigEndian.Uint64(raw[8:]) != h.seal(after, of) {
		return 0, ErrCursor
	}
	return after, nil
}

// stopped is what a failed PostContext means to a caller of the hub.
func stopped(err error) error {
	if errors.Is(err, netpoll.ErrStopped) {
		return ErrStopped
	}
	return err
}
