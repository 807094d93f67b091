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

// recents are the messages of the last moments that some instances were not sent because
// they had told no name of theirs. When one tells it after that, it is sent them.
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
	skipped interest.Set // who was not sent it
	name    uint64       // the number of the first of its names
	names   int
	bytes   int
}

// recentName is a name that a message was for.
type recentName struct {
	hash   interest.Hash
	send   uint64
	before uint64 // the name before with the same hash; below begin: none
}

const nameBytes = 48 // of a recentName and its place in last

// add notes a message that was sent to none of skipped.
func (r *recents) add(hashes []interest.Hash, content *stream.Content, bytes int, skipped interest.Set, at time.Duration) {
	if r.last == nil {
		r.last, r.begin = map[interest.Hash]uint64{}, 1
	}
	send, name := r.first+uint64(len(r.sends)), r.begin+uint64(len(r.names))
	for _, h := range hashes {
		n := r.begin + uint64(len(r.names))
		r.names = append(r.names, recentName{h, send, r.last[h]})
		r.last[h] = n
	}
	bytes = bytesOf(hashes, bytes)
	r.sends = append(r.sends, recentSend{at, content, skipped, name, len(hashes), bytes})
	r.bytes += bytes
}

func bytesOf(hashes []interest.Hash, bytes int) int { return bytes + 128 + nameBytes*len(hashes) }

// expire drops the messages that were sent before a time. past is how many instances were
// not sent one of them, and cannot be any more.
func (r *recents) expire(before time.Duration) (past int) {
	drop, names := 0, 0
	for ; drop < len(r.sends) && r.sends[drop].at < before; drop++ {
		s := &r.sends[drop]
		for _, n := range r.names[names : names+s.names] {
			if at := r.begin + uint64(names); r.last[n.hash] == at {
				delete(r.last, n.hash)
			}
			names++
		}
		r.bytes -= s.bytes
		past += s.skipped.Len()
		s.content = nil
	}
	r.sends, r.first = r.sends[drop:], r.first+uint64(drop)
	r.names, r.begin = r.names[names:], r.begin+uint64(names)
	return past
}

// of returns the numbers of the messages to these names that an instance was not sent,
// in the order of sending, with those that must come before them: earlier ones that
// have a name in common with one of them.
func (r *recents) of(index uint8, hashes iter.Seq[interest.Hash]) (sends []uint64) {
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
		for chains = chains[:len(chains)-1]; n >= r.begin && n > 0; n = r.names[n-r.begin].before {
			send := r.names[n-r.begin].send
			s := &r.sends[send-r.first]
			if _, known := found[send]; known || !s.skipped.Has(index) {
				continue
			}
			found[send] = struct{}{}
			for name := s.name; name < s.name+uint64(s.names); name++ {
				chains = append(chains, r.names[name-r.begin].before)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// passed reports whether an instance was not sent the last message to one of these names.
// If it was sent that, it was sent all before it, too.
func (r *recents) passed(index uint8, hashes []interest.Hash) bool {
	return len(r.sends) > 0 && slices.ContainsFunc(hashes, func(h interest.Hash) bool {
		n := r.last[h]
		return n >= r.begin && n > 0 && r.sends[r.names[n-r.begin].send-r.first].skipped.Has(index)
	})
}

// repairBefore sends to a peer what must come before a message: who is there may have
// connected when the peer had been passed over, and it has not told of them yet.
func (c *Cluster) repairBefore(l *letter, p *peer, now time.Duration) {
	switch {
	case !l.changes():
	case len(l.hashes) == 0:
		c.repairAll(p, now)
	case c.recents.passed(p.index, l.hashes):
		for _, send := range c.recents.of(p.index, slices.Values(l.hashes)) {
			c.repairOne(p, send, now)
		}
	}
}

// repair sends to a peer what it was not sent and has targets for, as it turns out.
func (c *Cluster) repair(p *peer, m *interest.Message, now time.Duration) {
	for _, send := range c.recents.of(p.index, m.Come.All) {
		c.repairOne(p, send, now)
	}
}

// repairAll sends to a peer all that it was not sent.
func (c *Cluster) repairAll(p *peer, now time.Duration) {
	for i := range c.recents.sends {
		if c.recents.sends[i].skipped.Has(p.index) {
			c.repairOne(p, c.recents.first+uint64(i), now)
		}
	}
}

// repairOne sends a message with its age, by which the peer leaves out connections that
// have opened since.
func (c *Cluster) repairOne(p *peer, send uint64, now time.Duration) {
	s := &c.recents.sends[send-c.recents.first]
	s.skipped.Remove(p.index)
	fields, payload := s.content.Split()
	fields = call.AppendAge(slices.Clone(fields), max(1, now-s.at))
	if p.stream.Send(call.Send, 0, stream.NewContent(fields, payload), now) {
		c.stats.repaired.Add(1)
	} else {
		c.stats.unsent.Add(1)
	}
}

// skips returns the members to which a message need not go: of all of them everything
// is known, and nothing that it is for. If there is no room to note them for repair, nobody
// is skipped.
func (c *Cluster) skips(l *letter, now time.Duration) (skipped interest.Set) {
	if l.kind != call.Send || l.call != nil || len(l.hashes) == 0 {
		return skipped
	}
	c.expire(now)
	if c.recents.bytes+bytesOf(l.hashes, l.bytes) > c.cfg.Buffer {
		c.stats.crowded.Add(1)
		return skipped
	}
	wanted := c.table.Incomplete()
	for _, h := range l.hashes {
		c.table.Find(h, &wanted)
	}
	for m := range c.members.All() {
		if !wanted.Has(m.Index) {
			skipped.Add(m.Index)
		}
	}
	return skipped
}

// expire drops messages that are too old to be repaired, and counts those that were not sent.
func (c *Cluster) expire(now time.Duration) {
	c.stats.expired.Add(uint64(c.recents.expire(now - c.cfg.Hold)))
}

// leaves forgets of the messages who was skipped, when another may get the same index.
func (r *recents) leaves(index uint8) {
	for i := range r.sends {
		r.sends[i].skipped.Remove(index)
	}
}
