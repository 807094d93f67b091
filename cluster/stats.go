package cluster

import (
	"sync/atomic"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/stream"
)

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Bus bus.Stats

	Members, Silent int64 // gauges: other instances, and those of them that are silent
	Whole           bool  // see Cluster.Whole
	Waiting         int64 // gauge: calls that wait for answers
	HeldMessages    int64 // gauge
	HeldBytes       int64 // gauge
	HoldLimit       int64 // gauge

	Sent, Delivered uint64                 // messages to others, and of others
	GivenUp         [stream.Reasons]uint64 // messages to others
	Lost            uint64                 // messages of others that never arrived
	Late            uint64                 // packets of others that came too late to count
	Retransmitted   uint64                 // packets
	Doubt           uint64                 // messages of which it is not known whether instances that are gone had them
	Unsent          uint64                 // messages that are too long to be held

	Names    int64  // gauge: names of others, counted for each of them that has it
	Known    int64  // gauge: members of whose names all are known
	Told     int64  // gauge: names that the others have been told
	Skipped  uint64 // messages that were not sent to an instance, which has no target
	Repaired uint64 // messages that were sent after all, or to more of their names: these were told later
	Expired  uint64 // of Skipped, those that cannot be sent any more: nobody has told of a target in time
	Unheard  uint64 // of Expired, those whose instance was not heard for so long that it may have had a target all the same
	Crowded  uint64 // messages that went to all since too many recent ones are kept for repair
	Resyncs  uint64 // how often something that an instance told of its names was missed

	Relays RelayStats

	Journal JournalStats // for whoever has one to fill in

	Watches int64 // gauge: streams of events of readers at others

	Executed   uint64 // calls of others that were done here
	Unanswered uint64 // of these, those whose asker was gone
	Full       uint64 // packets that were put off because a peer's calls wait
	Strangers  uint64 // packets of instances that are no members
	Astray     uint64 // packets that are not for this instance
	Malformed  uint64 // packets that are none
}

// JournalStats are package journal's Stats.
type JournalStats struct {
	Records, Failures, Dropped, Compactions uint64
	Waiting, Held                           int64 // gauges
	Unheld, Takeovers, Closed, Ignored      uint64
	Losses                                  uint64
}

// counters are those of Stats that the router and executors count.
type counters struct {
	skipped, repaired, expired, unheard, crowded, resyncs atomic.Uint64

	unsent, executed, unanswered, full, strangers, astray, malformed atomic.Uint64

	streams atomic.Pointer[Stats] // as the router has last seen them
}

// sums are added up over streams.
type sums struct {
	stream.Stats
	doubt uint64
}

func (s *sums) add(one stream.Stats) {
	s.Sent += one.Sent
	s.Delivered += one.Delivered
	s.Lost += one.Lost
	s.Late += one.Late
	s.Retransmitted += one.Retransmitted
	for i, n := range one.GivenUp {
		s.GivenUp[i] += n
	}
}

// count publishes what only the router can count.
func (c *Cluster) count() {
	all := c.gone
	s := &Stats{Waiting: int64(len(c.pending)), HeldBytes: int64(c.holds.Used()), Names: int64(c.table.Entries())}
	others := make([]Instance, 0, c.members.Len())
	for m := range c.members.All() {
		others = append(others, c.instanceOf(m))
		s.Members++
		if m.Silent {
			s.Silent++
		}
		if c.table.State(m.Index) == interest.Known {
			s.Known++
		}
	}
	if n := c.cfg.Names; n != nil {
		s.Told = int64(n.local.Digest().Count)
	}
	for _, p := range c.peers {
		all.add(p.stream.Stats())
		messages, _ := p.stream.Held()
		s.HeldMessages += int64(messages)
	}
	s.Sent, s.Delivered, s.Lost, s.Late, s.Retransmitted = all.Sent, all.Delivered, all.Lost, all.Late, all.Retransmitted
	s.GivenUp, s.Doubt = all.GivenUp, all.doubt
	c.stats.streams.Store(s)
	c.instances.Store(&others)
}

// Stats returns a snapshot.
func (c *Cluster) Stats() Stats {
	var s Stats
	if seen := c.stats.streams.Load(); seen != nil {
		s = *seen
	}
	s.Whole = c.Whole()
	s.Bus, s.HoldLimit, s.Watches = c.cfg.Bus.Stats(), int64(c.cfg.Buffer), c.watches.len()
	s.Unsent, s.Executed, s.Unanswered = c.stats.unsent.Load(), c.stats.executed.Load(), c.stats.unanswered.Load()
	s.Skipped, s.Repaired, s.Expired, s.Crowded, s.Resyncs = c.stats.skipped.Load(), c.stats.repaired.Load(), c.stats.expired.Load(), c.stats.crowded.Load(), c.stats.resyncs.Load()
	s.Unheard = c.stats.unheard.Load()
	s.Full, s.Strangers = c.stats.full.Load(), c.stats.strangers.Load()
	s.Relays = c.relays.snapshot()
	s.Astray, s.Malformed = c.stats.astray.Load(), c.stats.malformed.Load()
	return s
}
