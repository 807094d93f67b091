package cluster

import (
	"iter"
	"slices"
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
)

// addressed are the names that a message is for, in the order of its fields. Without any
// it may be for anybody.
type addressed struct {
	hashes []interest.Hash
	begin  uint32   // of the first name's field in the fields
	ends   []uint32 // of each name's field; the next one begins there

	// joint says that a connection may have several of the names, as it may be in several
	// groups. It gets the message once, so an instance is sent all of the names or none.
	joint bool
}

// addressees are whom a call is for, by its targets and the fields that they have become.
func (c *Cluster) addressees(t *hub.Targets, f packet.Fields) (a addressed) {
	switch {
	case len(t.Groups) > 0:
		a.joint = true
		for _, name := range t.Groups {
			a.hashes = append(a.hashes, c.key.Group(name))
		}
		a.begin, a.ends = call.GroupFields(f)
	case !t.All && t.Conn == "" && len(t.Conns) == 0 && !t.Remote.IsValid():
		a.hashes = make([]interest.Hash, 0, len(t.Users))
		for _, name := range t.Users {
			a.hashes = append(a.hashes, c.key.User(name))
		}
		a.begin, a.ends = call.UserFields(f)
	}
	return a
}

// bytes are what the names take in the fields.
func (a *addressed) bytes() int {
	if len(a.ends) == 0 {
		return 0
	}
	return int(a.ends[len(a.ends)-1] - a.begin)
}

// memory is what a takes beside the fields.
func (a *addressed) memory() int { return 12 * len(a.hashes) }

// only returns the fields with no other names than those at these places, which ascend.
func (a *addressed) only(f packet.Fields, places iter.Seq[int]) packet.Fields {
	some := slices.Clone(f[:a.begin])
	for i := range places {
		from := a.begin
		if i > 0 {
			from = a.ends[i-1]
		}
		some = append(some, f[from:a.ends[i]]...)
	}
	return append(some, f[a.ends[len(a.ends)-1]:]...)
}

// plan is which members are sent which names of a message. The zero value is all members
// and all names.
type plan struct {
	skipped interest.Set   // who is sent nothing
	missed  []interest.Set // who is not sent a name, for each of them; nil: nobody
	divided bool           // everybody is sent its own names; otherwise, all of them
}

// planFor plans a message: a name goes to those that have told it, and to those of which
// not everything is known. The plan is good until the next one.
//
// If there is no room to note for repair who has missed what, everything goes to all. And
// names are divided only where that copies no more payload than there are names: what
// names cost the instances that do not have them is little beside a long message.
func (c *Cluster) planFor(l *letter, now time.Duration) (p plan) {
	if l.kind != call.Send || l.call != nil || len(l.names.hashes) == 0 {
		return p
	}
	c.expire(now)
	if c.recents.bytes+bytesOf(&l.names, l.bytes) > c.cfg.Buffer {
		c.stats.crowded.Add(1)
		return p
	}
	var all, wanted interest.Set
	for m := range c.members.All() {
		all.Add(m.Index)
	}
	unsure := c.table.Incomplete()
	unsure.Intersect(&all)
	p.missed = c.plans[:0]
	for _, h := range l.names.hashes {
		has := unsure
		c.table.Find(h, &has)
		wanted.Union(&has)
		p.missed = append(p.missed, has)
	}
	if c.plans = p.missed; cap(c.plans) > mostPlanned {
		c.plans = nil
	}
	_, payload := l.content.Split()
	p.divided = !l.names.joint && len(p.missed) > 1 && wanted.Len()*len(payload) <= l.names.bytes()
	p.skipped = all.Without(&wanted)
	noted := false
	for i, has := range p.missed {
		if !p.divided {
			has = wanted
		}
		p.missed[i] = all.Without(&has)
		noted = noted || !p.missed[i].Empty()
	}
	if !noted {
		return plan{}
	}
	return p
}

// mostPlanned is how many names' places are kept for the next message.
const mostPlanned = 1 << 14

// places are those of the names that a member is sent.
func (p *plan) places(names int, index uint8) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range names {
			if (p.missed == nil || !p.missed[i].Has(index)) && !yield(i) {
				return
			}
		}
	}
}

// share is what a member is sent of a message.
func (p *plan) share(l *letter, index uint8) *stream.Content {
	names := len(l.names.hashes)
	if !p.divided || count(p.places(names, index)) == names {
		return l.content
	}
	fields, payload := l.content.Split()
	return stream.NewContent(l.names.only(fields, p.places(names, index)), payload)
}

func count(places iter.Seq[int]) (n int) {
	for range places {
		n++
	}
	return n
}

// sharesOf divides a call that names connections of several instances: each is sent its
// own, unless that copied more payload than there are fields.
func sharesOf(owners []packet.Instance, at homes, whole *stream.Content) (shares map[packet.Instance]*stream.Content, bytes int) {
	fields, payload := whole.Split()
	shares = make(map[packet.Instance]*stream.Content, len(owners))
	if len(owners)*len(payload) > len(fields) {
		for _, id := range owners {
			shares[id] = whole
		}
		return shares, len(fields) + len(payload)
	}
	conns, rest := call.ByOwner(fields, at.of)
	for _, id := range owners {
		own := append(conns[id], rest...)
		shares[id] = stream.NewContent(own, payload)
		bytes += len(own) + len(payload)
	}
	return shares, bytes
}
