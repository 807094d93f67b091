package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Evidence is all that is known when everything has come to rest.
type Evidence struct {
	Record
	Clients []Client
	Letters []Letter
	Odd     []string // requests that no gateway should send

	Timeouts int           // attempts that the gateway says it gave up for want of an answer
	Timeout  time.Duration // of an attempt
	RetryFor time.Duration
	Replies  bool // --callback-reply
	Batches  bool // --callback-batch
	Sessions bool // clients resume theirs, and know their connections' ids; a user may have several, one after the other
}

// Findings are what Audit makes of Evidence.
type Findings struct {
	Connections int // that the app has heard of, or a dead letter speaks of
	Events      int
	Attempts    int // events that the App has read, repeated ones included
	Duplicates  int // of these, events that it had read before, as it must expect
	Late        int // of these, Posts that came again because the answer was late, as the gateway's timeouts say
	Unseen      int // attempts that the App could not read, by X-Attempt
	Lost        int // events that nobody acknowledged and that no dead letter speaks of
	Reordered   int // events before their turn, or after it
	Letters     int
	Broken      []string // what must hold and did not
}

// mostBroken is how many breaches are told one by one.
const mostBroken = 20

// attempt is one event of a Post.
type attempt struct {
	post int
	*Post
}

// history is what happened to one event.
type history struct {
	Event
	seq      int       // within its connection: the open is 0
	attempts []attempt // in the order in which they were read
	letters  []Letter
}

// last is the attempt that was read last; those too late to be answered don't
// count. nil for none.
func (h *history) last() *attempt {
	for i, at := range slices.Backward(h.attempts) {
		if !at.Stale {
			return &h.attempts[i]
		}
	}
	return nil
}

// answered reports whether the app has given one of these answers to an attempt.
func (h *history) answered(answers ...Answer) bool {
	return slices.ContainsFunc(h.attempts, func(a attempt) bool { return slices.Contains(answers, a.Answer) })
}

// accounted reports whether somebody has the event: the app, or the dead-letter file.
func (h *history) accounted() bool { return len(h.letters) > 0 || h.answered(MaybeAcked, Acked) }

type audit struct {
	*Evidence
	Findings
	silenced int

	events map[string]*history
	conns  map[string][]*history // by sequence number; holes are nil
	users  map[string]string     // of connections
	ids    map[string]string     // connections of users
	named  map[string]bool       // connections that a client knows as its session
	orphan map[string][]string   // by user: connections with Sessions that no client knows
	faults map[int]bool          // Posts that came again although they were settled
}

// Audit holds what happened against what docs/protocol.md promises an app.
func Audit(e Evidence) Findings {
	a := &audit{
		Evidence: &e, events: make(map[string]*history), conns: make(map[string][]*history),
		users: make(map[string]string), ids: make(map[string]string), faults: make(map[int]bool),
		named: make(map[string]bool), orphan: make(map[string][]string),
	}
	for i := range e.Clients {
		a.named[e.Clients[i].Conn] = true
	}
	for _, odd := range e.Odd {
		a.say("%s", odd)
	}
	a.gather()
	for _, id := range sorted(a.events) {
		h := a.events[id]
		a.batch(h)
		a.repetition(h)
		a.letter(h)
	}
	a.unseen()
	a.late()
	a.order()
	a.clients()
	a.Findings.Connections, a.Findings.Events, a.Findings.Letters = len(a.conns), len(a.events), len(e.Letters)
	if a.silenced > 0 {
		a.Broken = append(a.Broken, fmt.Sprintf("and %d more", a.silenced))
	}
	return a.Findings
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (a *audit) say(format string, args ...any) {
	if len(a.Broken) == mostBroken {
		a.silenced++
		return
	}
	a.Broken = append(a.Broken, fmt.Sprintf(format, args...))
}

// gather sorts attempts and dead letters by event, and events by connection.
func (a *audit) gather() {
	for i := range a.Posts {
		p := &a.Posts[i]
		for _, e := range p.Events {
			a.Attempts++
			if h := a.history(e); h != nil {
				h.attempts = append(h.attempts, attempt{i, p})
			}
		}
	}
	for _, l := range a.Evidence.Letters {
		if h := a.history(l.Event); h != nil {
			h.letters = append(h.letters, l)
		}
	}
}

// history finds that of an event, which must always be the same under the same id.
func (a *audit) history(e Event) *history {
	h := a.events[e.ID]
	if h != nil {
		if h.Event != e {
			a.say("%s is two events: %+v and %+v", e.ID, h.Event, e)
			return nil
		}
		return h
	}
	number, named := strings.CutPrefix(e.ID, e.Conn+"-")
	seq, err := strconv.Atoi(number)
	seq-- // the open is number 1
	if !named || err != nil || seq < 0 || seq > 1<<20 {
		a.say("an event of connection %q is called %q", e.Conn, e.ID)
		return nil
	}
	if user, known := a.users[e.Conn]; known && user != e.User {
		a.say("connection %s is %s's and %s's", e.Conn, user, e.User)
		return nil
	}
	if !a.Sessions {
		if id, known := a.ids[e.User]; known && id != e.Conn {
			a.say("%s connected once and has the connections %s and %s", e.User, id, e.Conn)
			return nil
		}
		a.ids[e.User] = e.Conn
	} else if _, known := a.users[e.Conn]; !known && !a.named[e.Conn] {
		a.orphan[e.User] = append(a.orphan[e.User], e.Conn)
	}
	a.users[e.Conn] = e.User
	h = &history{Event: e, seq: seq}
	a.events[e.ID] = h
	for len(a.conns[e.Conn]) <= seq {
		a.conns[e.Conn] = append(a.conns[e.Conn], nil)
	}
	a.conns[e.Conn][seq] = h
	return h
}

// repetition looks at the attempts at an event: X-Attempt tells them apart and
// ascends, and none follows one that settled it. One that does so because that
// answer came too late counts anew: those behind it follow from its own answer.
func (a *audit) repetition(h *history) {
	numbers := make(map[int]bool)
	highest, settled := 0, false
	for i, at := range h.attempts {
		if i > 0 {
			a.Duplicates++
		}
		if at.Number < 1 || numbers[at.Number] {
			a.say("%s came twice as attempt %d", h.ID, at.Number)
		}
		numbers[at.Number] = true
		if at.Stale {
			continue
		}
		if at.Number < highest {
			a.say("%s came as attempt %d after attempt %d", h.ID, at.Number, highest)
		}
		highest = max(highest, at.Number)
		if settled {
			a.faults[at.post] = true
		}
		settled = at.Answer == Acked || at.refused()
	}
}

// refused reports whether an attempt was answered for good: a batch that is refused is
// divided, and its events come again.
func (at *attempt) refused() bool { return at.Answer == Refused && len(at.Events) == 1 }

// late holds the Posts that came again after they were settled against the timeouts
// that the App has not caused on purpose.
func (a *audit) late() {
	slack := max(0, a.Timeouts-a.Waited)
	a.Late = len(a.faults)
	if a.Late <= slack {
		return
	}
	for i := range a.Posts {
		if a.faults[i] {
			p := &a.Posts[i]
			a.say("%s came again, as attempt %d, after it was acknowledged or refused (%d answers can have been late)", p.Events[0].ID, p.Number, slack)
		}
	}
}

// letter looks at the dead letters of an event: one if the app refused it, none if
// it took it, and otherwise only after all the time that there is.
func (a *audit) letter(h *history) {
	if len(h.letters) > 1 {
		a.say("%s has %d dead letters", h.ID, len(h.letters))
	}
	last := h.last()
	if len(h.letters) == 0 {
		if last != nil && last.refused() {
			a.say("%s was refused and has no dead letter", h.ID)
		}
		return
	}
	l := h.letters[0]
	if last != nil && last.Number > l.Attempts {
		a.say("%s came as attempt %d, and its dead letter knows of %d", h.ID, last.Number, l.Attempts)
	}
	switch {
	case h.answered(Refused, MaybeRefused):
	case last != nil && last.Answer == Acked && last.Number == l.Attempts && a.Timeouts <= a.Waited:
		a.say("%s was acknowledged and has a dead letter", h.ID)
	default:
		// The app may read the first attempt when the gateway has given up waiting for it, and,
		// on a busy machine, a while after that.
		if since, known := a.begun(h); known && l.At.Sub(since) < a.RetryFor-a.Timeout*3/2 {
			a.say("%s was given up after %v and %d attempts", h.ID, l.At.Sub(since), l.Attempts)
		}
	}
}

// begun is an instant no later than that at which the time began in which an event is
// tried again: its first attempt or, for one that had to wait because the port had
// been closed, the end of the event before it. For how long the gateway took it to be
// closed the App can't know.
func (a *audit) begun(h *history) (at time.Time, known bool) {
	if len(h.attempts) > 0 {
		first := h.attempts[0]
		if first.Number == 1 && !a.outage(-1, first.post) {
			return first.At, true
		}
	}
	if before := a.before(h); before != nil {
		last := before.last()
		switch {
		case before.batched(h), a.Batches && before.buriedWith(h):
			return a.begun(before)
		case len(before.letters) > 0:
			return before.letters[0].At, true
		case last != nil:
			return last.At, true
		}
	}
	for i := range a.Clients {
		if c := &a.Clients[i]; c.User == h.User && (c.Conn == "" || c.Conn == h.Conn) {
			return c.Opened, true
		}
	}
	return at, false
}

// before is the event before one of the same connection; nil for none, and for one
// of which nothing is known.
func (a *audit) before(h *history) *history {
	if h.seq == 0 {
		return nil
	}
	return a.conns[h.Conn][h.seq-1]
}

// batched reports whether the Post in which another event was first read had this one too.
func (h *history) batched(other *history) bool {
	return len(other.attempts) > 0 && other.attempts[0].has(h.Event)
}

// buriedWith reports whether the event after this one, which nobody has read, can have
// been given up together with it. The dead letters of a batch know of as many attempts,
// but the first event of a connection may have been attempted alone too.
func (h *history) buriedWith(next *history) bool {
	return len(next.attempts) == 0 && len(h.letters) > 0 && len(next.letters) > 0 &&
		h.letters[0].Attempts >= next.letters[0].Attempts
}

// unseen explains the numbers that X-Attempt jumped over: the port was closed
// meanwhile, or the App had ended a connection of which the gateway did not know.
func (a *audit) unseen() {
	batches := make(map[int][]attempt) // by the Post of a batch that was read first
	for _, id := range sorted(a.events) {
		if h := a.events[id]; len(h.attempts) > 0 {
			first := a.firstOf(h)
			batches[first] = append(batches[first], h.attempts...)
		}
	}
	unexplained := 0
	for _, first := range slices.Sorted(maps.Keys(batches)) {
		before, number := a.precedes(first), 0
		byNumber := slices.SortedFunc(slices.Values(batches[first]), func(x, y attempt) int { return cmp.Compare(x.Number, y.Number) })
		for _, at := range byNumber {
			if missing := at.Number - number - 1; missing > 0 {
				a.Unseen += missing
				if !a.outage(min(before, at.post), max(before, at.post)) {
					unexplained += missing
				}
			}
			before, number = at.post, at.Number
		}
	}
	if unexplained > a.Blind {
		a.say("%d attempts were counted that the app has not read, and its connections ended under %d at most", unexplained, a.Blind)
	}
}

// precedes is the Post after which the batch was first attempted that Post i is of; -1 for
// any.
func (a *audit) precedes(i int) int {
	h := a.events[a.Posts[i].Events[0].ID]
	if h == nil {
		return -1
	}
	if before := a.before(h); before != nil && !before.batched(h) {
		if last := before.last(); last != nil && last.post < i {
			return last.post
		}
	}
	return -1
}

// outage reports whether the port was closed at some time after Post i was read and
// before Post j was.
func (a *audit) outage(i, j int) bool {
	return slices.ContainsFunc(a.Outages, func(o Outage) bool { return o.From <= j && o.To > i })
}
