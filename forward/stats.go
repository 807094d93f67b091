package forward

import (
	"sync/atomic"
	"time"
)

// counters are what workers and callers count.
type counters struct {
	delivered, failed [actions]atomic.Uint64
	kept              atomic.Uint64
	attempts, retries atomic.Uint64
	pipelined         atomic.Uint64
	outcomes          [outcomes]atomic.Uint64
	outages           atomic.Uint64
	lanes, events     atomic.Int64

	refused, unanswered atomic.Uint64
	authorizing         atomic.Int64
}

// Actions is how many kinds of events there are.
const Actions = int(actions)

// ActionNames are their names.
func ActionNames() []string { return actionNames[:] }

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Delivered [Actions]uint64 // by action, in the order of ActionNames
	Failed    [Actions]uint64 // for good, by action, including those that came after Drain
	Kept      uint64          // that another process has; see Held.Release
	Attempts  uint64
	Retries   uint64           // attempts that were not their event's first
	Outcomes  [Outcomes]uint64 // attempts, by Outcome; one repeated at once on a new connection counts once
	Outages   uint64           // times that the app became unreachable
	Troubles  uint64           // times that it stopped taking events, for whatever reason
	Pipelined uint64           // attempts that were written before the answer to the one before had come

	// Open events of Authorize that the app has not acknowledged; the others count as
	// Delivered.
	AuthorizationsRefused    uint64 // 4xx
	AuthorizationsUnanswered uint64 // any other answer, or none in time
	Authorizing              int64  // gauge: under way

	HeadsUnreadable uint64 // answers of whose head nothing but the status could be read

	// With Config.Reply.
	Replies         uint64 // passed on, including those that only close
	RepliesRefused  uint64 // not passed on: longer than Config.ReplyMax, or cut short
	RepliesNotText  uint64 // called text, passed on as binary because they are not UTF-8
	RepliesBadClose uint64 // X-Ws-Close without a usable code

	// With Config.Regroup: header fields that join or leave groups and could not be read,
	// and answers of which no header field could be read.
	RegroupsUnreadable uint64

	// With Config.Meta: header fields that could not be read, and answers of which no header
	// field could be; and metadata for which there was no memory.
	MetaUnreadable, MetaOverMemory uint64

	// With Config.Batch.
	Divided           uint64 // times that a batch was divided, to find the event that the app does not take
	Partial           uint64 // answers that said that the app has taken part of a batch
	PartialUnreadable uint64 // how many of these could not be read, so that the whole batch was sent again
	PartialUnknown    uint64 // ids in them that were not in the batch

	DeadLetters, DeadLetterErrors uint64

	Journal JournalStats // for whoever made the Config.Journal to fill in

	Squeezed                       int64         // gauge: lanes that are full because of their share of Memory
	Squeezes                       uint64        // times that a lane became so
	Share                          int64         // gauge: bytes of that share
	Lanes, Events, Bytes, InFlight int64         // gauges
	Waiting                        int64         // gauge: lanes that wait for a back-off to pass
	Oldest                         time.Duration // gauge: age of the event that waits longest
	Pressure, AppDown, InTrouble   bool          // gauges
}

// Stats returns a snapshot. It looks at each lane, and holds no lock for long.
func (f *Forwarder) Stats() Stats {
	c := &f.counters
	g := f.pool.gauges()
	s := Stats{
		Kept:     c.kept.Load(),
		Attempts: c.attempts.Load(),
		Retries:  c.retries.Load(),
		Outages:  c.outages.Load(),
		Troubles: f.observer.begun.Load(),

		Pipelined: c.pipelined.Load(),

		Lanes:    c.lanes.Load(),
		Events:   c.events.Load(),
		Bytes:    f.pressure.held.Load(),
		InFlight: int64(g.inFlight),

		AuthorizationsRefused:    c.refused.Load(),
		AuthorizationsUnanswered: c.unanswered.Load(),
		Authorizing:              c.authorizing.Load(),

		HeadsUnreadable: f.heads.unreadable.Load(),

		Replies:         f.replies.sent.Load(),
		RepliesRefused:  f.replies.refused.Load(),
		RepliesNotText:  f.replies.unworthy.Load(),
		RepliesBadClose: f.replies.misspelt.Load(),

		RegroupsUnreadable: f.regroups.unreadable.Load(),

		MetaUnreadable: f.notes.unreadable.Load(),
		MetaOverMemory: f.notes.refused.Load(),

		Divided:           f.divisions.count.Load(),
		Partial:           f.partials.count.Load(),
		PartialUnreadable: f.partials.unreadable.Load(),
		PartialUnknown:    f.partials.unknown.Load(),

		Squeezed: f.lanes.squeezed.Load(),
		Squeezes: f.lanes.squeezes.Load(),
		Share:    f.pressure.share(),

		Waiting:  int64(g.waiting),
		Pressure: Level(f.pressure.level.Load()) >= Stopped,
		AppDown:  g.down,

		InTrouble: f.observer.active.Load(),
	}
	for a := range actions {
		s.Delivered[a] = c.delivered[a].Load()
		s.Failed[a] = c.failed[a].Load()
	}
	for o := range outcomes {
		s.Outcomes[o] = c.outcomes[o].Load()
	}
	s.DeadLetters, s.DeadLetterErrors = f.letters.Counts()
	if queued, ok := f.lanes.oldest(); ok {
		s.Oldest = f.now() - queued
	}
	return s
}
