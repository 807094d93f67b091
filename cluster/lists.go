package cluster

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"slices"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// ListMembers is hub.Hub.ListMembers for the connections of all instances, one instance
// after the other in the order of their ids: a user with connections at several of them
// comes once for each. A page may be empty and have a next one.
func (c *Cluster) ListMembers(ctx context.Context, groups []string, q hub.Query, yield func(user string, conns []hub.Info) error) (next string, err error) {
	return c.everywhere().ListMembers(ctx, groups, q, yield)
}

// ListMembers is Cluster.ListMembers for these instances.
func (p *Part) ListMembers(ctx context.Context, groups []string, q hub.Query, yield func(user string, conns []hub.Info) error) (next string, err error) {
	c := p.c
	l := lister{c: c, groups: groups, q: q, yield: yield}
	l.check = p.checkOf(call.List, &call.Call{Names: groups, Query: q})
	at, inner, err := readCursor(q.Cursor, l.check)
	if err != nil {
		return "", err
	}
	lost := &losses{names: slices.Clone(p.missing)}
	instances := slices.Clone(p.live)
	if p.here {
		instances = append(instances, member{id: c.cfg.Instance, name: c.cfg.Name})
	}
	slices.SortFunc(instances, byID)
	for _, m := range instances {
		switch order := slices.Compare(m.id[:], at[:]); {
		case order < 0:
			continue
		case order > 0:
			inner = ""
		}
		if l.full() {
			return newCursor(m.id, l.check, ""), lost.err()
		}
		from, err := l.one(ctx, m, inner)
		switch late := new(MissingError); {
		case errors.As(err, &late):
			lost.add(m.name)
		case err != nil:
			return "", err
		case from != "":
			return newCursor(m.id, l.check, from), lost.err()
		}
	}
	return "", lost.err()
}

func byID(a, b member) int { return slices.Compare(a.id[:], b.id[:]) }

// lister is one run of ListMembers.
type lister struct {
	c      *Cluster
	groups []string
	q      hub.Query
	check  uint32
	yield  func(user string, conns []hub.Info) error
	listed int
}

func (l *lister) full() bool { return l.q.Limit > 0 && l.listed >= l.q.Limit }

// one lists an instance from a cursor of its own on. next is where it goes on if the
// page is full.
func (l *lister) one(ctx context.Context, m member, from string) (next string, err error) {
	q := l.q
	if m.id == l.c.cfg.Instance {
		if q.Cursor = from; q.Limit > 0 {
			q.Limit -= l.listed
		}
		return l.c.hub.ListMembers(ctx, l.groups, q, l.give)
	}
	to := route{others: true, instance: &m.id}
	for {
		q.Cursor, q.Limit = from, mostRows
		if l.q.Limit > 0 {
			q.Limit = min(mostRows, l.q.Limit-l.listed)
		}
		p, err := l.c.post(ctx, &to, call.List, &call.Call{Names: l.groups, Query: q}, nil, true)
		if err != nil {
			return "", err
		}
		r, err := l.c.collect(context.WithoutCancel(ctx), &to, p) // a reader may take longer than a call
		if err != nil {
			return "", err
		}
		if err := l.rows(r.Payload); err != nil {
			return "", err
		}
		if from = r.Cursor; from == "" || l.full() {
			return from, nil
		}
	}
}

// rows gives the connections of a page, with one call for each run of a user.
func (l *lister) rows(payload []byte) error {
	var run []hub.Info
	for r := call.NewRows(payload); ; {
		more := r.More()
		var row hub.Info
		if more {
			row = r.Row()
		}
		if err := r.Err(); err != nil {
			return err
		}
		if len(run) > 0 && (!more || row.User != run[0].User) {
			if err := l.give(run[0].User, run); err != nil {
				return err
			}
			run = run[:0]
		}
		if !more {
			return nil
		}
		run = append(run, row)
	}
}

func (l *lister) give(user string, conns []hub.Info) error {
	l.listed += len(conns)
	return l.yield(user, conns)
}

// A cursor is the instance at which a page begins, a checksum of the query, and the
// instance's own cursor, which that instance checks.
const cursorHead = 8 + 4

var cursorEncoding = base64.RawURLEncoding.Strict()

func newCursor(at packet.Instance, check uint32, inner string) string {
	raw := binary.BigEndian.AppendUint32(at[:], check)
	return cursorEncoding.EncodeToString(append(raw, inner...))
}

func readCursor(cursor string, check uint32) (at packet.Instance, inner string, err error) {
	if cursor == "" {
		return at, "", nil
	}
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) < cursorHead || binary.BigEndian.Uint32(raw[8:]) != check {
		return at, "", hub.ErrCursor
	}
	return packet.Instance(raw[:8]), string(raw[cursorHead:]), nil
}

// checkOf tells a query from others, so that a cursor is refused with another one.
func (p *Part) checkOf(kind packet.Kind, of *call.Call) uint32 {
	of.Query.Cursor, of.Query.Limit, of.Groups.Cursor, of.Groups.Limit = "", 0, "", 0
	return crc32.ChecksumIEEE(append(of.Append(nil, kind), p.only[:]...))
}

// CountMembers is hub.Hub.CountMembers for the connections of all instances. A user with
// connections at several of them counts once.
func (c *Cluster) CountMembers(ctx context.Context, groups []string, q hub.Query) (connections, users int, err error) {
	return c.everywhere().CountMembers(ctx, groups, q)
}

// CountMembers is Cluster.CountMembers for these instances.
func (p *Part) CountMembers(ctx context.Context, groups []string, q hub.Query) (connections, users int, err error) {
	c, lost := p.c, &losses{names: slices.Clone(p.missing)}
	if p.here && len(p.live) == 0 {
		connections, users, err = c.hub.CountMembers(ctx, groups, q)
		return connections, users, cmp.Or(err, lost.err())
	}
	q.Limit, q.Cursor = 0, ""
	todo := call.Call{Names: groups, Query: q}
	names := map[interest.Hash]struct{}{}
	if p.here {
		here := c.usersHere(ctx, &todo)
		if here.Err != nil {
			return 0, 0, here.Err
		}
		connections = here.Connections
		addNames(names, here.Payload)
	}
	for _, m := range p.live {
		n, err := c.countAt(ctx, m, todo, names)
		connections += n
		switch {
		case errors.As(err, new(*MissingError)):
			lost.add(m.name)
		case err != nil:
			return 0, 0, err
		}
	}
	return connections, len(names), lost.err()
}

func addNames(names map[interest.Hash]struct{}, payload []byte) {
	for r := call.NewRows(payload); r.More(); {
		names[interest.Hash(r.Word())] = struct{}{}
	}
}

// askAt asks one instance.
func (c *Cluster) askAt(ctx context.Context, m member, kind packet.Kind, todo *call.Call) (call.Result, error) {
	to := route{others: true, instance: &m.id}
	p, err := c.post(ctx, &to, kind, todo, nil, true)
	if err != nil {
		return call.Result{}, err
	}
	return c.collect(ctx, &to, p)
}

// countAt counts the connections of an instance, and adds its users to names.
func (c *Cluster) countAt(ctx context.Context, m member, todo call.Call, names map[interest.Hash]struct{}) (connections int, err error) {
	for {
		r, err := c.askAt(ctx, m, call.Count, &todo)
		if err != nil {
			return connections, err
		}
		connections += r.Connections
		addNames(names, r.Payload)
		if todo.Query.Cursor = r.Cursor; r.Cursor == "" {
			return connections, nil
		}
	}
}

// mostListed is how many groups a list without a limit, or a page, may have.
const mostListed = 1 << 20

// ErrTooMany is returned for a list of more groups than can be put together.
var ErrTooMany = errors.New("cluster: there are too many groups for a list of all instances: ask for pages, with limit, or each instance with scope=local")

// ListGroups is hub.Hub.ListGroups for the groups of all instances, sorted by name. It
// looks at all of them for each page, and keeps no more names in memory than twice those of
// the page: a page of few groups takes little memory, a list of long pages little time.
func (c *Cluster) ListGroups(ctx context.Context, q hub.GroupQuery, yield func([]hub.Group) error) (next string, err error) {
	return c.everywhere().ListGroups(ctx, q, yield)
}

// ListGroups is Cluster.ListGroups for these instances.
func (p *Part) ListGroups(ctx context.Context, q hub.GroupQuery, yield func([]hub.Group) error) (next string, err error) {
	check := p.checkOf(call.Groups, &call.Call{Groups: q})
	_, after, err := readCursor(q.Cursor, check)
	if err != nil {
		return "", err
	}
	first := firstGroups{sizes: map[string]int{}, most: mostListed, whole: q.Limit == 0, from: after, begun: q.Cursor != ""}
	if q.Limit > 0 {
		first.most = min(q.Limit, mostListed)
	}
	err = p.groupSizes(ctx, q, &first)
	if err != nil && !errors.As(err, new(*MissingError)) {
		return "", err
	}
	names, sizes := first.names(), first.sizes
	if len(names) > first.most {
		names = names[:first.most]
		next = newCursor(packet.Instance{}, check, names[len(names)-1])
	}
	for some := range slices.Chunk(names, 256) {
		page := make([]hub.Group, len(some))
		for i, name := range some {
			page[i] = hub.Group{Name: name, Connections: sizes[name]}
		}
		if err := yield(page); err != nil {
			return "", err
		}
	}
	return next, err
}

// firstGroups are the groups that come first in the order of their names, behind one of
// them: so many, and one more to know whether there are more.
type firstGroups struct {
	sizes map[string]int
	most  int
	whole bool // more are an error
	begun bool
	from  string // with begun: names up to this are left out
	past  string // names behind this are not among the first; "": it is not known yet
}

// add counts groups of an instance. What falls out has no place among the first whatever
// comes later, so those that stay have all of their connections.
func (f *firstGroups) add(page []hub.Group) error {
	for _, g := range page {
		if f.begun && g.Name <= f.from || f.past != "" && g.Name > f.past {
			continue
		}
		f.sizes[g.Name] += g.Connections
		switch {
		case f.whole && len(f.sizes) > f.most:
			return ErrTooMany
		case len(f.sizes) > 2*f.most+1:
			f.names()
		}
	}
	return nil
}

// names are the first names, sorted. It drops all others.
func (f *firstGroups) names() []string {
	names := slices.Sorted(maps.Keys(f.sizes))
	if len(names) <= f.most {
		return names
	}
	f.past = names[f.most]
	for _, name := range names[f.most+1:] {
		delete(f.sizes, name)
	}
	return names[:f.most+1]
}

// groupSizes gives all groups that q selects to first.
func (p *Part) groupSizes(ctx context.Context, q hub.GroupQuery, first *firstGroups) error {
	q.Cursor, q.Limit = "", 0
	if p.here {
		if _, err := p.c.hub.ListGroups(ctx, q, first.add); err != nil {
			return err
		}
	}
	lost := &losses{names: slices.Clone(p.missing)}
	for _, m := range p.live {
		err := p.c.groupsAt(ctx, m, q, first.add)
		switch {
		case errors.As(err, new(*MissingError)):
			lost.add(m.name)
		case err != nil:
			return err
		}
	}
	return lost.err()
}

// groupsAt gives the groups of an instance.
func (c *Cluster) groupsAt(ctx context.Context, m member, q hub.GroupQuery, add func([]hub.Group) error) error {
	for {
		r, err := c.askAt(ctx, m, call.Groups, &call.Call{Groups: q})
		if err != nil {
			return err
		}
		for read := call.NewRows(r.Payload); read.More(); {
			g := read.Group()
			if err := read.Err(); err != nil {
				return err
			}
			if err := add([]hub.Group{g}); err != nil {
				return err
			}
		}
		if q.Cursor = r.Cursor; r.Cursor == "" {
			return nil
		}
	}
}
