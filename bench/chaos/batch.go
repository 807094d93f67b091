package chaos

import (
	"slices"
	"strings"
)

// batch holds the Posts that an event came in against each other: all are the batch that
// the gateway made, or what has become of it. That may have been read after its parts, if
// it was late, or never.
func (a *audit) batch(h *history) {
	if len(h.attempts) == 0 {
		return
	}
	whole := h.attempts[0] // the largest, or the first of these
	for _, at := range h.attempts {
		if len(at.Events) > len(whole.Events) {
			whole = at
		}
	}
	for _, at := range h.attempts {
		if !nested(at.Post, whole.Post) && !divided(at.Post, whole.Post) && !divided(whole.Post, at.Post) {
			before, after := at, whole
			if before.post > after.post {
				before, after = after, before
			}
			a.say("%s came in the batch of %s, and before in that of %s", h.ID, shorten(after.key()), shorten(before.key()))
		}
	}
}

// firstOf is the first Post that was read of an event's batch. The batch's events are
// counted together as long as it is whole, and then in each part of it.
func (a *audit) firstOf(h *history) (post int) {
	for {
		post = h.attempts[0].post
		leader := a.events[a.Posts[post].Events[0].ID]
		if leader == nil || len(leader.attempts) == 0 || leader.attempts[0].post >= post {
			return post
		}
		h = leader
	}
}

// nested reports whether one of two Posts has all the events of the other: the same
// batch, or what has become of it. One that fails is divided, or a single event of it
// is attempted in its place and then the whole again.
func nested(p, q *Post) bool {
	small, large := p, q
	if len(small.Events) > len(large.Events) {
		small, large = large, small
	}
	return !slices.ContainsFunc(small.Events, func(e Event) bool { return !large.has(e) })
}

// divided reports whether p can be a part of a batch of one connection, and q what was
// left of that batch when the first events of p had ended. Then the gateway has attempted
// the batch before both.
func divided(p, q *Post) bool {
	return p.Number > 1 && q.Number > 1 && rest(p, q) && q.has(p.Events[len(p.Events)-1])
}

// rest reports whether q begins with an event of p that is not its first. Both are of one
// connection.
func rest(p, q *Post) bool {
	return p.ofOne() && q.ofOne() && p.Events[0].ID != q.Events[0].ID && p.has(q.Events[0])
}

func (p *Post) has(e Event) bool {
	return slices.ContainsFunc(p.Events, func(other Event) bool { return other.ID == e.ID })
}

// ofOne reports whether all the events are of one connection.
func (p *Post) ofOne() bool {
	return !slices.ContainsFunc(p.Events, func(e Event) bool { return e.Conn != p.Events[0].Conn })
}

// key names what a Post carries: a batch is tried again whole.
func (p *Post) key() string {
	ids := make([]string, len(p.Events))
	for i, e := range p.Events {
		ids[i] = e.ID
	}
	return strings.Join(ids, " ")
}

func shorten(batch string) string {
	if len(batch) > 100 {
		return batch[:100] + "…"
	}
	return batch
}
