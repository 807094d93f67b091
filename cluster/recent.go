package cluster

import (
	"iter"
	"maps"
	"slices"
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/stream"
)

// recents are the messages of the last moments that some instances were not sent, or not
// with all of their names, because they had not told these. When one tells a name after
// that, it is sent what it has missed of it.
type recents struct {
	sends []recentSend // in the order of sending
	first uint64       // the number of the first of sends
	names []recentName // of the sends, in their order
	begin uint64       // the number of the first of names
	last  map[interest.Hash]uint64
	bytes int
}

// recentSend is a message.
type recentSend struct {
	at      time.Duration // not before it was called: a connection that was open then must not seem too young
	content *stream.Content
	to      addressed // without hashes: names has them
	name    uint64    // the number of the first of its names
	names   int
	bytes   int
}

// recentName is a name that a message was for.
type recentName struct {
	hash   interest.Hash
	send   uint64
	before uint64       // the name before with the same hash; below begin: none
	missed interest.Set // who was not sent it
}

const nameBytes = 96 // of a recentName, its place in last and in the fields

// add notes a message, and for each of its names who was not sent it.
func (r *recents) add(to addressed, content *stream.Content, bytes int, missed []interest.Set, at time.Duration) {
	if r.last == nil {
		r.last, r.begin = map[interest.Hash]uint64{}, 1
	}
	send, name := r.first+uint64(len(r.sends)), r.begin+uint64(len(r.names))
	for i, h := range to.hashes {
		n := r.begin + uint64(len(r.names))
		r.names = append(r.names, recentName{h, send, r.last[h], missed[i]})
		r.last[h] = n
	}
	bytes, names := bytesOf(&to, bytes), len(to.hashes)
	to.hashes = nil
	r.sends = append(r.sends, recentSend{at, content, to, name, names, bytes})
	r.bytes += bytes
}

func bytesOf(to *addressed, bytes int) int { return bytes + 128 + nameBytes*len(to.hashes) }

// expire drops the messages that were sent before a time. past is how many instances were
// not sent anything of one of them, and cannot be any more; doubt how many of these may have
// had a target and could not tell: nothing was heard of them since, in time.
func (r *recents) expire(before, hold time.Duration, silent func(index uint8, from, to time.Duration) bool) (past, doubt int) {
	drop, names := 0, 0
	for ; drop < len(r.sends) && r.sends[drop].at < before; drop++ {
		s := &r.sends[drop]
		nothing := r.names[names].missed
		for _, n := range r.names[names : names+s.names] {
			if at := r.begin + uint64(names); r.last[n.hash] == at {
				delete(r.last, n.hash)
			}
			nothing.Intersect(&n.missed)
			names++
		}
		r.bytes -= s.bytes
		past += nothing.Len()
		for index := range nothing.All {
			if silent(index, s.at+tellsWithin, s.at+hold) {
				doubt++
			}
		}
		s.content, s.to = nil, addressed{}
	}
	r.sends, r.first = r.sends[drop:], r.first+uint64(drop)
	r.names, r.begin = r.names[names:], r.begin+uint64(names)
	return past, doubt
}

// tellsWithin is how long after a message another instance must be heard so that it has told, by
// then, of whoever was there when the message was sent: what is heard sooner may have been
// under way since before they came. Heartbeats are heard oftener than messages expire, unless
// --cluster-hold is very short.
const tellsWithin = 250 * time.Millisecond

func (r *recents) name(n uint64) *recentName { return &r.names[n-r.begin] }

func (r *recents) sendOf(n uint64) *recentSend { return &r.sends[r.name(n).send-r.first] }

// of returns the numbers of the names that an instance has missed, in the order of
// sending: those with these hashes, and what goes together with one of them, each with all
// before it that have the same hash.
func (r *recents) of(index uint8, hashes iter.Seq[interest.Hash]) (names []uint64) {
	if len(r.sends) == 0 {
		return nil
	}
	var chains []uint64 // names, each to be followed by those before it with the same hash
	for h := range hashes {
		chains = append(chains, r.last[h])
	}
	found := map[uint64]struct{}{}
	for len(chains) > 0 {
		n := chains[len(chains)-1]
		for chains = chains[:len(chains)-1]; n >= r.begin && n > 0; n = r.name(n).before {
			if _, known := found[n]; known || !r.name(n).missed.Has(index) {
				continue
			}
			found[n] = struct{}{}
			if s := r.sendOf(n); s.to.joint {
				for other := s.name; other < s.name+uint64(s.names); other++ {
					if _, known := found[other]; !known {
						chains = append(chains, other)
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// passed reports whether an instance has missed the last message to one of these names.
// If it was sent that, it was sent all before it, too.
func (r *recents) passed(index uint8, hashes iter.Seq[interest.Hash]) bool {
	if len(r.sends) == 0 {
		return false
	}
	for h := range hashes {
		if n := r.last[h]; n >= r.begin && n > 0 && r.name(n).missed.Has(index) {
			return true
		}
	}
	return false
}

// repairBefore sends to a peer what must come before a message with these names: who is
// there may have connected when the peer had been passed over, and it has not told of
// them yet.
func (c *Cluster) repairBefore(l *letter, to *plan, p *peer, now time.Duration) {
	switch {
	case !l.changes():
	case len(l.names.hashes) == 0:
		c.repairAll(p, now)
	default:
		names := func(yield func(interest.Hash) bool) {
			for i := range to.places(len(l.names.hashes), p.index) {
				if !yield(l.names.hashes[i]) {
					return
				}
			}
		}
		if c.recents.passed(p.index, names) {
			c.repairNames(p, c.recents.of(p.index, names), now)
		}
	}
}

// repair sends to a peer what it has missed and has targets for, as it turns out.
func (c *Cluster) repair(p *peer, m *interest.Message, now time.Duration) {
	c.repairNames(p, c.recents.of(p.index, m.Come.All), now)
}

// repairAll sends to a peer all that it has missed.
func (c *Cluster) repairAll(p *peer, now time.Duration) {
	r := &c.recents
	var missed []uint64
	end := r.begin + uint64(len(r.names))
	for n := max(p.repaired, r.begin); n < end; n++ {
		if r.name(n).missed.Has(p.index) {
			missed = append(missed, n)
		}
	}
	p.repaired = end
	c.repairNames(p, missed, now)
}

// repairNames sends to a peer the messages to these names, which it has missed.
func (c *Cluster) repairNames(p *peer, names []uint64, now time.Duration) {
	for len(names) > 0 {
		s := c.recents.sendOf(names[0])
		n := 1
		for n < len(names) && names[n] < s.name+uint64(s.names) {
			n++
		}
		c.repairOne(p, s, names[:n], now)
		names = names[n:]
	}
}

// repairOne sends a message, to these names of it, with its age, by which the peer leaves
// out connections that have opened since.
func (c *Cluster) repairOne(p *peer, s *recentSend, names []uint64, now time.Duration) {
	for _, n := range names {
		c.recents.name(n).missed.Remove(p.index)
	}
	fields, payload := s.content.Split()
	fields = s.to.only(fields, func(yield func(int) bool) {
		for _, n := range names {
			if !yield(int(n - s.name)) {
				return
			}
		}
	})
	fields = call.AppendAge(fields, max(1, now-s.at))
	if p.stream.Send(call.Send, 0, stream.NewContent(fields, payload), now) {
		c.stats.repaired.Add(1)
	} else {
		c.stats.unsent.Add(1)
	}
}

// expire drops messages that are too old to be repaired, and counts those that were not sent.
func (c *Cluster) expire(now time.Duration) {
	past, doubt := c.recents.expire(now-c.cfg.Hold, c.cfg.Hold, func(index uint8, from, to time.Duration) bool {
		m := c.members.At(index)
		return m != nil && c.peers[m.ID].heard.silent(from, to)
	})
	c.stats.expired.Add(uint64(past))
	c.stats.unheard.Add(uint64(doubt))
}

// leaves forgets who has missed what, when another may get the same index.
func (r *recents) leaves(index uint8) {
	for i := range r.names {
		r.names[i].missed.Remove(index)
	}
}
