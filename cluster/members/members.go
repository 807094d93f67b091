package members

import (
	"cmp"
	"encoding/binary"
	"iter"
	"time"
)

// Config of a Members. Zero values mean the defaults named beside them.
type Config struct {
	Self        ID
	Makes       ID // see Heartbeat; default Self
	Name        string
	SilentAfter time.Duration // default 3 s
	DeadAfter   time.Duration // default 15 s; more than SilentAfter
}

const (
	defaultSilentAfter = 3 * time.Second
	defaultDeadAfter   = 15 * time.Second

	// most is how many others there may be: their indices have 8 bits. Those that come
	// later are left out, and counted, until one of the others has gone.
	most = 256

	// longestGap is how much time may pass between two calls. If it was more the
	// process did not run, and could hear nobody: that time does not count.
	longestGap = time.Second
)

// Members knows the other instances. Tick must be called at least twice a second. now
// is always a time since any moment, by a clock that nobody sets. The events that a
// call returns are in the order in which things have happened; the slice is valid until
// the next call.
type Members struct {
	cfg     Config
	byID    map[ID]*Member
	byIndex [most]*Member
	left    leavers
	refused uint64
	full    bool // an instance has been left out since one has gone
	down    bool // our own link
	seen    time.Duration
	clock   time.Duration // in which we ran
	heard   time.Duration // since when, by clock, the link is up
	events  []Event
}

// Member is another instance. Its fields are for reading.
type Member struct {
	Heartbeat       // the last one
	Index     uint8 // no other member has it
	Silent    bool  // not heard for a while: nothing that it is sent is certain to arrive
	Clash     bool  // it has our name
	heard     time.Duration
}

// Event is a change of the members.
type Event struct {
	Kind   EventKind
	Member *Member // of Full, a Member that is none
	Why    Reason  // of Silenced and Died
}

// EventKind says what has happened.
type EventKind uint8

const (
	Appeared  EventKind = iota // a new member
	Silenced                   // it is silent
	Back                       // it is silent no more
	Died                       // it is no member any more, and its Index is free
	NameTaken                  // it has our name
	NameFree                   // it is gone, or has been silent since
	Full                       // it is left out: there are 256 others
)

// Reason says why a member is silent or dead.
type Reason uint8

const (
	NotHeard    Reason = iota // for SilentAfter, or DeadAfter
	Unreachable               // the bus says that nobody takes what is for it
	OwnLink                   // our own link is down
	Left                      // it has said so
	Replaced                  // it is silent, and one of its name has started since it was heard
)

// String returns the reason as logs have it.
func (r Reason) String() string {
	return [...]string{"not heard", "nobody takes its messages", "this instance's link is down", "it has left", "restarted"}[r]
}

// New returns a Members without members, with the link down.
func New(cfg Config) *Members {
	cfg.Makes = cmp.Or(cfg.Makes, cfg.Self)
	cfg.SilentAfter = cmp.Or(cfg.SilentAfter, defaultSilentAfter)
	cfg.DeadAfter = max(cmp.Or(cfg.DeadAfter, defaultDeadAfter), cfg.SilentAfter)
	return &Members{cfg: cfg, byID: map[ID]*Member{}, down: true}
}

// Get returns a member, or nil.
func (m *Members) Get(id ID) *Member { return m.byID[id] }

// At returns the member that has an index, or nil.
func (m *Members) At(index uint8) *Member { return m.byIndex[index] }

// Len returns how many members there are.
func (m *Members) Len() int { return len(m.byID) }

// Digest stands for the set of the members and this instance: others that know the same
// instances have the same one. It is never 0.
func (m *Members) Digest() uint64 {
	sum := binary.BigEndian.Uint64(m.cfg.Self[:])
	for id := range m.byID {
		sum += binary.BigEndian.Uint64(id[:])
	}
	return max(sum, 1)
}

// Listened returns for how long others could have been heard since the link came up, as of
// the last call; 0 while it is down.
func (m *Members) Listened() time.Duration {
	if m.down {
		return 0
	}
	return m.clock - m.heard
}

// Refused returns how many heartbeats were of instances for which there was no place.
func (m *Members) Refused() uint64 { return m.refused }

// All yields the members in the order of their indices.
func (m *Members) All() iter.Seq[*Member] {
	return func(yield func(*Member) bool) {
		for _, member := range m.byIndex {
			if member != nil && !yield(member) {
				return
			}
		}
	}
}

// Heard takes a heartbeat.
func (m *Members) Heard(now time.Duration, h *Heartbeat) []Event {
	m.begin(now)
	if h.ID == m.cfg.Self || m.left.has(h.ID) || m.succeeded(h) {
		return nil
	}
	member := m.byID[h.ID]
	if member == nil {
		if member = m.enter(h); member == nil {
			return m.events
		}
	}
	member.Heartbeat = *h
	m.hear(member)
	return m.events
}

// Spoke notes that something else was heard of an instance.
func (m *Members) Spoke(now time.Duration, id ID) []Event {
	m.begin(now)
	if member := m.byID[id]; member != nil {
		m.hear(member)
	}
	return m.events
}

func (m *Members) hear(member *Member) {
	member.heard = m.clock
	if member.Silent {
		member.Silent = false
		m.tell(Back, member, NotHeard)
	}
}

// enter makes a member of who has sent h, if there is a place.
func (m *Members) enter(h *Heartbeat) *Member {
	for i := range m.byIndex {
		if m.byIndex[i] == nil {
			m.succeed(h)
			member := &Member{Heartbeat: *h, Index: uint8(i), heard: m.clock}
			m.byIndex[i], m.byID[h.ID] = member, member
			m.tell(Appeared, member, NotHeard)
			return member
		}
	}
	m.refused++
	if !m.full {
		m.full = true
		m.tell(Full, &Member{Heartbeat: *h}, NotHeard)
	}
	return nil
}

// succeed ends the members whose sessions a new one has taken in: it could not have if they
// had not ended, whether or not their goodbye was heard.
func (m *Members) succeed(h *Heartbeat) {
	for other := range m.All() {
		if other.Makes == h.Makes && other.Makes != (ID{}) && m.up(other) > h.Up {
			m.left.add(other.ID)
			m.remove(other, Replaced)
		}
	}
}

// succeeded reports whether a heartbeat is one of a run before a member, or this instance.
func (m *Members) succeeded(h *Heartbeat) bool {
	if h.Makes == (ID{}) {
		return false
	}
	for other := range m.All() {
		if other.Makes == h.Makes && other.ID != h.ID && m.up(other) < h.Up {
			return true
		}
	}
	return h.Makes == m.cfg.Makes
}

// Leave takes an instance's word that it ends, and for how long its next run should be
// waited for: see Heartbeat.Returns. It is never a member again.
func (m *Members) Leave(now time.Duration, id ID, returns time.Duration) []Event {
	m.begin(now)
	if id == m.cfg.Self {
		return nil
	}
	m.left.add(id)
	if member := m.byID[id]; member != nil {
		member.Returns = returns
		m.remove(member, Left)
	}
	return m.events
}

// HasLeft reports whether an instance has said that it ends, or was succeeded by its next run.
// Only the last of them are known.
func (m *Members) HasLeft(id ID) bool { return m.left.has(id) }

// Lost notes that the bus has nobody who takes what is for an instance.
func (m *Members) Lost(now time.Duration, id ID) []Event {
	m.begin(now)
	if member := m.byID[id]; member != nil {
		m.silence(member, Unreachable)
	}
	return m.events
}

// LinkDown notes that nothing can be heard or told. All members are silent until they
// are heard again, and none is dead as long as the link is down.
func (m *Members) LinkDown(now time.Duration) []Event {
	m.begin(now)
	m.down = true
	for member := range m.All() {
		member.Knows = 0 // it is old when the link is there again
		m.silence(member, OwnLink)
	}
	return m.events
}

// LinkUp notes that the link is there again. Members have as long as ever to be heard.
func (m *Members) LinkUp(now time.Duration) []Event {
	m.begin(now)
	m.down, m.heard = false, m.clock
	return m.events
}

// Tick looks who has not been heard.
func (m *Members) Tick(now time.Duration) []Event {
	m.begin(now)
	if m.down {
		return nil
	}
	for member := range m.All() {
		switch silence := m.silenceOf(member); {
		case silence >= m.cfg.DeadAfter:
			m.remove(member, NotHeard)
		case silence < m.cfg.SilentAfter:
			m.judgeName(member)
		case m.replaced(member):
			m.remove(member, Replaced)
		default:
			m.silence(member, NotHeard)
			m.judgeName(member)
		}
	}
	return m.events
}

// silenceOf is for how long a member could have been heard, and was not.
func (m *Members) silenceOf(member *Member) time.Duration {
	return m.clock - max(member.heard, m.heard)
}

// begin begins a call.
func (m *Members) begin(now time.Duration) {
	m.clock += min(max(0, now-m.seen), longestGap)
	m.seen = max(m.seen, now)
	m.events = m.events[:0]
}

func (m *Members) tell(kind EventKind, member *Member, why Reason) {
	m.events = append(m.events, Event{Kind: kind, Member: member, Why: why})
}

func (m *Members) silence(member *Member, why Reason) {
	if !member.Silent {
		member.Silent = true
		m.tell(Silenced, member, why)
	}
}

func (m *Members) remove(member *Member, why Reason) {
	delete(m.byID, member.ID)
	m.byIndex[member.Index] = nil
	m.full = false
	if member.Clash {
		member.Clash = false
		m.tell(NameFree, member, why)
	}
	m.tell(Died, member, why)
}

// leavers are the last instances that have left: a heartbeat of theirs that comes late
// brings none of them back.
type leavers struct {
	ids  [64]ID
	next int
}

func (l *leavers) add(id ID) {
	if !l.has(id) {
		l.ids[l.next] = id
		l.next = (l.next + 1) % len(l.ids)
	}
}

func (l *leavers) has(id ID) bool {
	for _, other := range l.ids {
		if other == id && id != (ID{}) {
			return true
		}
	}
	return false
}
