package forward

import (
	"strings"
	"sync"

	"ws-gateway/forward/quote"
)

// maxBatchBytes is how large the body of a batch gets, unless its one event is
// larger: an estimate, which escapes in cookies can exceed.
const maxBatchBytes = 1 << 20

// maxKeptBody is how large a worker's buffer for the body of a batch may be to be kept.
const maxKeptBody = 128 << 10

// batch is several events that are POSTed together. It is made when its lanes are
// first attempted, and is tried again with the same bytes, until it is divided
// (divide.go) or the app takes part of it (partial.go). Its first lane stands for it in
// the scheduler's queues, and that lane's first event has its window; the other lanes
// are in no queue until the batch is done with.
//
// It belongs to whoever has its first lane in flight.
type batch struct {
	lanes  []share
	events []*event // in the order of the body
	tried  []*event // what is attempted of these
	one    [1]*event
	doubt
}

// share is what of a lane is in a batch.
type share struct {
	lane   *lane
	waits  int    // events that the lane had when it was taken
	count  int    // of these, how many are in the batch
	tried  int    // of these, how many are attempted
	done   int    // of these, how many are delivered or have failed for good
	cursor *event // the next to be taken
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// form makes a batch of a chain of lanes: one event of each, then another of
// each that has more, and so on, up to limit events.
func (t *table) form(chain *lane, limit int) *batch {
	b := batches.Get().(*batch)
	defer b.whole()
	for l := chain; l != nil; {
		next := l.next
		l.next = nil
		b.lanes = append(b.lanes, share{lane: l, waits: t.take(l), cursor: l.head})
		l = next
	}
	size := 0
	for more := true; more; {
		more = false
		for i := range b.lanes {
			s := &b.lanes[i]
			if s.count == s.waits || len(b.events) == limit {
				continue
			}
			if size += s.cursor.elementSize(); size > maxBatchBytes && len(b.events) >= len(b.lanes) {
				return b
			}
			b.events = append(b.events, s.cursor)
			if s.count++; s.count < s.waits { // what was there when the lane was taken is linked
				s.cursor = s.cursor.next
			}
			more = true
		}
	}
	return b
}

// recycle takes back a batch that is done with.
func (b *batch) recycle() {
	clear(b.lanes)
	clear(b.events)
	*b = batch{lanes: b.lanes[:0], events: b.events[:0]}
	batches.Put(b)
}

// appendBody appends the array that is POSTed (PROTOCOL 4.3): of what is tried.
func (b *batch) appendBody(dst []byte) []byte {
	dst = append(dst, '[')
	for i, e := range b.tried {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.appendElement(dst)
	}
	return append(dst, ']')
}

const elementText = len(`,"request_id":"","cookie":"","headers":{}},`)

// elementSize is about how many bytes the event takes in the body of a batch.
func (e *event) elementSize() int { return len(e.buf) + len(e.cookie) + len(e.headers) + elementText }

// appendElement appends the event as an element of a batch: with what are header
// fields of a POST of its own.
func (e *event) appendElement(dst []byte) []byte {
	body := e.bodyBytes()
	dst = append(dst, body[:len(body)-len(`}`)]...)
	dst = append(dst, `,"request_id":`...)
	dst = quote.Append(dst, e.requestID())
	if e.cookie != "" {
		dst = append(dst, `,"cookie":`...)
		dst = quote.Append(dst, e.cookie)
	}
	if e.headers != "" {
		dst = append(dst, `,"headers":{`...)
		dst = appendMembers(dst, e.headers)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendMembers appends header lines as members of an object.
func appendMembers(dst []byte, lines string) []byte {
	for first := true; lines != ""; first = false {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		if !first {
			dst = append(dst, ',')
		}
		dst = quote.Append(dst, name)
		dst = append(dst, ':')
		dst = quote.Append(dst, value)
	}
	return dst
}

// take marks the events of l, which is in flight from now on, as no longer
// available to batches, and returns how many there are.
func (t *table) take(l *lane) (waits int) {
	s := t.stripe(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.available = false
	t.available.Add(-int64(l.events))
	return l.events
}

// release undoes take for the events that are left, or have come since.
func (t *table) release(l *lane) {
	s := t.stripe(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.available = true
	t.available.Add(int64(l.events))
}

// pack readies what a job POSTs: it forms the batch where there is to be one and
// none yet, or looks at what is to be done with the one that there is, and writes the
// body.
func (w *worker) pack(j job) {
	f, l := w.f, j.lane
	if f.cfg.Batch == 1 || l.auth != nil {
		return
	}
	if l.batch == nil {
		limit := f.cfg.Batch
		if j.kind == jobProbe {
			limit = 1 // its window is its own, and may end with the probe
		}
		l.batch = f.lanes.form(l, limit)
		f.pool.formed()
	} else if other := f.look(l); other != nil {
		f.put(other, f.now())
	}
	if cap(w.body) > maxKeptBody { // not kept while idle
		w.body = nil
	}
	w.body = l.batch.appendBody(w.body[:0])
}

// events are those that l's job is about: the first, or those of its batch.
func (w *worker) events(l *lane) []*event {
	if l.batch != nil {
		return l.batch.tried
	}
	w.single[0] = l.head
	return w.single[:]
}
