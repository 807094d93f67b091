package forward

import (
	"strings"
	"sync"

	"ws-gateway/forward/quote"
	"ws-gateway/tracecontext"
)

// maxBatchBytes is how large the body of a batch gets, unless its only event is larger.
// It is an estimate: escapes in cookies can exceed it.
const maxBatchBytes = 1 << 20

// maxKeptBody is how large a worker's buffer for the body of a batch may be to be kept.
const maxKeptBody = 128 << 10

// batch is several events that are POSTed together. It is made when its lanes are first
// attempted. Retries send the same bytes, until the batch is divided (divide.go) or the
// app takes part of it (partial.go). In the scheduler's queues its first lane stands for
// it, and that lane's first event has its window. The other lanes are in no queue until
// the batch is finished.
//
// It belongs to whoever has its first lane in flight.
type batch struct {
	lanes  []share
	events []*event // in the order of the body
	tried  []*event // those of them that are attempted
	one    [1]*event
	doubt
}

// share is one lane's part of a batch.
type share struct {
	lane   *lane
	waits  int    // events that the lane had when the batch took it
	count  int    // how many of them are in the batch
	tried  int    // how many of these are attempted
	done   int    // how many of these are delivered or have failed for good: event.outcome
	cursor *event // the next one to take
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// form makes a batch from a chain of lanes: it takes one event from each, then another
// from each that has more, and so on, up to limit events.
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
			t.equip(s.lane.key, s.cursor)
			if size += s.cursor.elementSize(); size > maxBatchBytes && len(b.events) >= len(b.lanes) {
				return b
			}
			b.events = append(b.events, s.cursor)
			if s.count++; s.count < s.waits { // events that were there when the batch took the lane are linked
				s.cursor = s.cursor.next
			}
			more = true
		}
	}
	return b
}

// recycle takes back a batch that is finished.
func (b *batch) recycle() {
	clear(b.lanes)
	clear(b.events)
	*b = batch{lanes: b.lanes[:0], events: b.events[:0]}
	batches.Put(b)
}

// appendBody appends the array that is POSTed, with the events that are tried.
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
func (e *event) elementSize() int {
	return len(e.buf) + len(e.cookie) + len(e.headers) + len(e.meta.JSON()) + elementText
}

// appendElement appends the event as an element of a batch. It includes what would be
// header fields if the event had a POST to itself.
func (e *event) appendElement(dst []byte) []byte {
	body := e.bodyBytes()
	dst = append(dst, body[:len(body)-len(`}`)]...)
	if e.meta != nil {
		member := e.meta.Member()
		dst = append(dst, member[:len(member)-len(`}`)]...)
	}
	dst = append(dst, `,"request_id":`...)
	dst = quote.Append(dst, e.requestID())
	if e.cookie != "" {
		dst = append(dst, `,"cookie":`...)
		dst = quote.Append(dst, e.cookie)
	}
	if e.headers != "" {
		dst = append(dst, `,"headers":{`...)
		dst = appendMembers(dst, tracecontext.Filled(e.headers, e.requestID()))
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
