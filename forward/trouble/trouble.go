// Package trouble decides when to tell an operator that the app does not take events, how
// things stand, and that it is over. It is a pure state machine: its owner counts what the
// app answers, and passes the counts and the time. It imports none of the project's
// packages.
//
//	well ──▶ trouble: one report at once ──▶ one every 10 s ──▶ one when it is over
//
// There is trouble if
//
//   - no connection can be made (Sample.Down),
//   - attempts are under way and nothing at all has come back for Machine.Patience,
//   - at least three attempts of the last ten seconds have failed and none has succeeded,
//   - at least three have failed, for more than one connection, and they are a quarter,
//   - the last six have failed, for more than one connection, and none has succeeded for a
//     second, however many did before that,
//   - or every client of the last ten seconds was refused, and there were ten.
//
// If events of one connection fail while those of others are taken, that is no trouble;
// a line of its own says that they were given up. Once nothing waits, and nothing
// else has failed, it is no news that the successes before are ten seconds old.
//
// It is over if hardly anything has failed for a second and something has succeeded. If
// the app is in trouble again within a minute it has to be well for ten seconds, then for
// twenty, up to a minute: an app that flaps is in trouble once.
package trouble

import (
	"maps"
	"slices"
	"time"
)

const (
	// Every is how often there is a report while there is trouble.
	Every = 10 * time.Second

	seconds  = 10 // to look back to decide that there is trouble
	recently = 2  // and that it is over
	fewest   = 3  // failures
	inARow   = 6  // failures, with no success between them

	shortCalm = time.Second
	longCalm  = 10 * time.Second
	mostCalm  = time.Minute
	relapse   = time.Minute // so long after the end of trouble more of it counts as the same
	forgotten = time.Minute // after so long without a word from the app its state is unknown
	allOfThem = 10          // refused clients, and no other answer

	// Labels is how many kinds of answers are counted separately; the others are OtherLabel.
	Labels     = 16
	OtherLabel = "other"
)

// Kind is what is wrong.
type Kind uint8

const (
	None        Kind = iota
	Unreachable      // no connection can be made
	Silent           // nothing comes back
	Failing          // attempts fail
	Refusing         // every client is refused
)

// Failures are attempts that failed.
type Failures struct {
	By   map[string]uint64 // by outcome: "500", "timeout"
	Key  uint64            // the connection of one of them
	Many bool              // they are from more than one connection
}

// Add counts one.
func (f *Failures) Add(label string, key uint64) {
	if f.By == nil {
		f.By = make(map[string]uint64)
	}
	f.Many = f.Many || len(f.By) > 0 && f.Key != key
	f.Key = key
	f.count(label, 1)
}

func (f *Failures) count(label string, n uint64) {
	if _, known := f.By[label]; !known && len(f.By) >= Labels {
		label = OtherLabel
	}
	f.By[label] += n
}

// join adds those that came later.
func (f *Failures) join(later *Failures) {
	if len(later.By) == 0 {
		return
	}
	f.Many = f.Many || later.Many || len(f.By) > 0 && f.Key != later.Key
	f.Key = later.Key
	if f.By == nil {
		f.By = make(map[string]uint64)
	}
	for label, n := range later.By {
		f.count(label, n)
	}
}

func (f *Failures) sum() (n uint64) {
	for _, each := range f.By {
		n += each
	}
	return n
}

// Sample is what has happened since the last one, and how things stand.
type Sample struct {
	Now time.Duration // since some instant

	Delivered uint64   // attempts that the app took
	Refused   uint64   // clients that the app refused, which it may
	Failed    Failures // all other attempts that have ended
	GivenUp   uint64   // events that failed for good

	Down     bool // no connection can be made
	InFlight int  // attempts under way
	Waiting  int  // events
}

// Report is what to tell.
type Report struct {
	Kind    Kind
	Begins  bool
	Over    bool
	Unknown bool // with Over: nothing has been sent for a minute

	For      time.Duration // since it began
	Answers  Answers       // since it began
	Recently Answers       // since the last report
	Latest   string        // label of the latest failure, which may be from before it began
	Waiting  int           // events
	GivenUp  uint64        // events, since it began
}

// Answers are the outcomes of attempts.
type Answers struct {
	Delivered, Refused uint64
	Failed             map[string]uint64
}

func (a *Answers) add(s *Sample) {
	a.Delivered += s.Delivered
	a.Refused += s.Refused
	if len(s.Failed.By) == 0 {
		return
	}
	f := Failures{By: a.Failed}
	if f.By == nil {
		f.By = make(map[string]uint64)
	}
	for label, n := range s.Failed.By {
		f.count(label, n)
	}
	a.Failed = f.By
}

func (a *Answers) any() bool { return a.Delivered+a.Refused > 0 || len(a.Failed) > 0 }

// Main is the most frequent label of failures; "" if there are none.
func (a *Answers) Main() (label string) { return mainOf(a.Failed) }

func mainOf(failed map[string]uint64) (label string) {
	for _, each := range slices.Sorted(maps.Keys(failed)) {
		if label == "" || failed[each] > failed[label] {
			label = each
		}
	}
	return label
}

func (a *Answers) copy() Answers {
	return Answers{a.Delivered, a.Refused, maps.Clone(a.Failed)}
}

// bucket is a second.
type bucket struct {
	second                     int64
	delivered, refused, failed uint64
	key                        uint64
	many                       bool
}

// Machine is the state. Its zero value, with Patience set, is well.
type Machine struct {
	// Patience is how long attempts may be under way while nothing comes back.
	Patience time.Duration

	past     [seconds]bucket
	progress time.Duration // when something last came back, or nothing was under way

	kind            Kind
	since, due      time.Duration // when it began, when the next report is due
	bad             time.Duration // when there was last reason to call it trouble
	heard           time.Duration // when the app was last heard from, or tried
	good            bool          // the last sample with answers had a success
	row             Failures      // since the last success
	rowSince        time.Duration // when that was
	failure         string        // label of the latest one
	calm            time.Duration // how long it must be well to be over
	ended           time.Duration // when the last one was over; with calm
	answers, latest Answers
	waiting         int
	givenUp         uint64
}

// Look takes a sample and returns what to tell, if there is anything to tell.
func (m *Machine) Look(s *Sample) (r Report, tell bool) {
	m.count(s)
	kind := m.judge(s)
	if m.kind == None {
		if kind == None {
			return Report{}, false
		}
		m.begin(s, kind)
		return m.report(s, func(r *Report) { r.Begins = true }), true
	}
	m.answers.add(s)
	m.latest.add(s)
	m.givenUp += s.GivenUp
	m.waiting = s.Waiting
	if kind != None {
		m.kind = kind
	}
	switch over, unknown := m.over(s); {
	case over:
		r = m.report(s, func(r *Report) { r.Over, r.Unknown = true, unknown })
		m.end(s)
		return r, true
	case s.Now >= m.due && (s.Waiting > 0 || m.latest.any()): // otherwise there is nothing to tell
		return m.report(s, nil), true
	}
	return Report{}, false
}

// Finish is the last Look, and returns what to tell at the end.
func (m *Machine) Finish(s *Sample) (r Report, tell bool) {
	if r, tell = m.Look(s); tell || m.kind == None {
		return r, tell
	}
	return m.report(s, func(r *Report) { r.Over = m.good }), true
}

// State is how things stand, as in the next report; false: all is well.
func (m *Machine) State(now time.Duration) (Report, bool) {
	if m.kind == None {
		return Report{}, false
	}
	return Report{
		Kind: m.kind, For: now - m.since, Answers: m.answers.copy(), Recently: m.latest.copy(),
		Latest: m.failure, Waiting: m.waiting, GivenUp: m.givenUp,
	}, true
}

// count adds a sample to its second.
func (m *Machine) count(s *Sample) {
	second := int64(s.Now / time.Second)
	b := &m.past[second%seconds]
	if b.second != second {
		*b = bucket{second: second}
	}
	failed := s.Failed.sum()
	if failed > 0 {
		b.many = b.many || s.Failed.Many || b.failed > 0 && b.key != s.Failed.Key
		b.key = s.Failed.Key
		m.failure = mainOf(s.Failed.By)
	}
	if s.Delivered+s.Refused > 0 {
		m.row, m.rowSince = Failures{}, s.Now
	} else {
		m.row.join(&s.Failed)
	}
	b.delivered += s.Delivered
	b.refused += s.Refused
	b.failed += failed
	if failed+s.Delivered+s.Refused > 0 || s.InFlight == 0 {
		m.progress = s.Now
	}
	if failed+s.Delivered+s.Refused > 0 || s.InFlight > 0 || s.Waiting > 0 || s.Down {
		m.heard = s.Now
	}
}

// sum is the sum of the last n seconds.
func (m *Machine) sum(now time.Duration, n int64) (all bucket) {
	second := int64(now / time.Second)
	for _, b := range m.past {
		if b.second > second-n {
			if b.failed > 0 {
				all.many = all.many || b.many || all.failed > 0 && all.key != b.key
				all.key = b.key
			}
			all.delivered += b.delivered
			all.refused += b.refused
			all.failed += b.failed
		}
	}
	return all
}

// judge says whether there is trouble, and which.
func (m *Machine) judge(s *Sample) Kind {
	past := m.sum(s.Now, seconds)
	well := past.delivered + past.refused
	fresh := m.kind != None || s.Waiting > 0 || s.Failed.sum() > 0
	switch {
	case s.Down:
		return Unreachable
	case s.InFlight > 0 && s.Now-m.progress >= m.Patience:
		return Silent
	case fresh && past.failed >= fewest && (well == 0 || past.many && 4*past.failed >= past.failed+well):
		return Failing
	case m.row.Many && s.Now-m.rowSince >= shortCalm && m.row.sum() >= inARow:
		return Failing
	case past.refused >= allOfThem && past.delivered+past.failed == 0:
		return Refusing
	}
	return None
}

func (m *Machine) begin(s *Sample, kind Kind) {
	calm := shortCalm
	if m.calm > 0 && s.Now-m.ended < relapse {
		calm = min(max(2*m.calm, longCalm), mostCalm)
	}
	before := *m
	*m = Machine{
		Patience: before.Patience, past: before.past, ended: before.ended, progress: before.progress, heard: before.heard,
		row: before.row, rowSince: before.rowSince, failure: before.failure,
	}
	m.kind, m.since, m.due, m.bad, m.calm = kind, s.Now, s.Now, s.Now, calm
	m.waiting, m.givenUp = s.Waiting, s.GivenUp
	m.answers.add(s)
	m.latest.add(s)
}

// over reports whether the trouble is over, or whether that has become unknown.
func (m *Machine) over(s *Sample) (over, unknown bool) {
	now := m.sum(s.Now, recently)
	fails := now.failed > 0 && 8*now.failed >= now.failed+now.delivered+now.refused
	refuses := m.kind == Refusing && s.Delivered == 0
	if s.Down || s.InFlight > 0 && s.Now-m.progress >= m.Patience || fails || refuses && s.Refused > 0 {
		m.bad = s.Now
	}
	switch { // apart from bad: a success right after failures may be the last for a while
	case s.Delivered > 0, !refuses && s.Refused > 0:
		m.good = true
	case s.Down, s.Refused > 0, s.Failed.sum() > 0:
		m.good = false
	}
	if s.Now-m.heard >= forgotten {
		return true, true
	}
	return m.good && s.Now-m.bad >= m.calm, false
}

func (m *Machine) end(s *Sample) {
	m.kind, m.ended = None, s.Now
	m.past = [seconds]bucket{}
	m.row, m.rowSince = Failures{}, s.Now
	m.answers, m.latest = Answers{}, Answers{}
}

func (m *Machine) report(s *Sample, with func(*Report)) Report {
	r, _ := m.State(s.Now)
	m.latest = Answers{}
	// Ten seconds from when it was due. Otherwise an owner that looks once a second, each
	// time a moment too early, would report every eleven seconds.
	if m.due += Every; m.due <= s.Now {
		m.due = s.Now + Every
	}
	if with != nil {
		with(&r)
	}
	return r
}
