package chaos

import (
	"math"
	"sync"
	"time"
)

// Answer is what a Post's answer means to a gateway that reads it.
type Answer uint8

const (
	Unanswered   Answer = iota // nothing that could be taken for an answer: to be tried again
	Retryable                  // 408, 425, 429, 5xx: to be tried again
	MaybeAcked                 // 2xx, which the gateway may not have seen
	Acked                      // 2xx: the event must never come again
	MaybeRefused               // a final status, which the gateway may not have seen
	Refused                    // a final status: never again, and a dead letter
)

// Event is one event of a Post. ID is its request id.
type Event struct {
	ID, Conn, User, Action string

	Message   int // number that the client gave the message
	Code      int // of a close
	Initiator string
}

// Post is one request that the App has read.
type Post struct {
	At     time.Time
	Number int // X-Attempt
	Events []Event
	Fault  Fault
	Answer Answer
	Reply  bool // its answer has a body that --callback-reply must pass on
	Stale  bool // when the App came to read it the gateway had given up waiting
}

// Outage is a time in which the App's port was closed, as indices of the Posts that
// were read next when it began and ended.
type Outage struct{ From, To int }

// Record is what an App has done.
type Record struct {
	Posts   []Post
	Outages []Outage
	Blind   int           // attempts that it may never have seen because it ended their connection, unannounced or under them
	Waited  int           // attempts that the gateway gave up for want of an answer, as the App has seen it
	Faults  map[Fault]int // how often each was done
}

// log collects a Record. An entry is made before the gateway can know of what it
// says, so that their order is that of causes and effects.
type log struct {
	mu     sync.Mutex
	record Record // guarded by mu
}

// note changes the Record.
func (l *log) note(change func(r *Record)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.record)
}

// read enters a Post and returns its index.
func (l *log) read(p Post) (index int) {
	l.note(func(r *Record) {
		index = len(r.Posts)
		r.Posts = append(r.Posts, p)
	})
	return index
}

// decide says what the App is going to do about a Post.
func (l *log) decide(post int, f Fault, a Answer, reply bool) {
	l.note(func(r *Record) {
		p := &r.Posts[post]
		p.Fault, p.Answer, p.Reply = f, a, reply
		r.count(f)
	})
}

// stale says that the gateway had already given a Post up; waited, that it was for
// want of an answer to it.
func (l *log) stale(post int, waited bool) {
	l.note(func(r *Record) { r.Posts[post].Stale = true })
	if waited {
		l.waited()
	}
}

// doubt says that a Post's answer may not have been seen whole.
func (l *log) doubt(post int) {
	l.note(func(r *Record) {
		switch p := &r.Posts[post]; p.Answer {
		case Acked:
			p.Answer = MaybeAcked
		case Refused:
			p.Answer = MaybeRefused
		}
	})
}

// waited says that the gateway has given up an attempt.
func (l *log) waited() { l.note(func(r *Record) { r.Waited++ }) }

// blind says that a connection ends unannounced on which so many requests may have
// been on their way; a fault is counted too.
func (l *log) blind(f Fault, requests int) {
	l.note(func(r *Record) {
		r.Blind += requests
		r.count(f)
	})
}

// down and up enclose an outage.
func (l *log) down(f Fault) {
	l.note(func(r *Record) {
		r.Outages = append(r.Outages, Outage{From: len(r.Posts), To: math.MaxInt})
		r.count(f)
	})
}

func (l *log) up() {
	l.note(func(r *Record) { r.Outages[len(r.Outages)-1].To = len(r.Posts) })
}

func (r *Record) count(f Fault) {
	if f == none {
		return
	}
	if r.Faults == nil {
		r.Faults = make(map[Fault]int)
	}
	r.Faults[f]++
}
