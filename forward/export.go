package forward

import (
	"strconv"
	"time"

	"ws-gateway/forward/headers"
	"ws-gateway/handover/record"
)

// Events that another process is to deliver are written down as a record of each
// connection. Times are remainders. Every field that an event consists of must be known to
// who reads it, or the app would see a gap, or something else than what was in its place.
//
//	hold.go    when they are written: while nothing is delivered
//	export.go  what the records say
//	import.go  how another Forwarder takes them up

// The fields of a record.
const (
	tagHeaders record.Tag = 2 // of the events that follow, as headers.Pack makes them; none: ""
	tagEvent   record.Tag = 4 // oldest first
)

// The fields of an event.
const (
	tagAction   record.Tag = 2  // its name
	tagNumber   record.Tag = 4  // Source.Seq
	tagBody     record.Tag = 6  // without metadata
	tagMeta     record.Tag = 8  // that it was first POSTed with, JSON; "" for none. Without the field it never was
	tagAttempts record.Tag = 10 // so far
	tagLeft     record.Tag = 12 // for how many milliseconds it may be tried again. Without the field its time has not begun
	tagAge      record.Tag = 13 // for how many it has waited
)

// Append appends the record of the events that wait for one connection to dst, and returns
// how many there are. If there are none it appends nothing. Calls must not overlap.
func (h *Held) Append(dst record.Fields, key uint64) (_ record.Fields, events int) {
	if h == nil {
		return dst, 0
	}
	now := h.f.now()
	s := h.f.lanes.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[key]
	if l == nil {
		return dst, 0
	}
	h.lanes = append(h.lanes, l)
	cookie, lines := "", ""
	for e := l.head; e != nil; e = e.next {
		if e.cookie != cookie || e.headers != lines {
			cookie, lines = e.cookie, e.headers
			dst = record.Append(dst, tagHeaders, headers.Repack(cookie, lines))
		}
		h.event = e.appendFields(h.event[:0], now)
		dst = record.Append(dst, tagEvent, h.event)
		events++
	}
	return dst, events
}

// appendFields appends what there is to know about e, but for its headers.
func (e *event) appendFields(f record.Fields, now time.Duration) record.Fields {
	f = record.Append(f, tagAction, e.action.String())
	f = record.AppendNumber(f, tagNumber, e.number())
	f = record.Append(f, tagBody, e.bodyBytes())
	if e.equipped {
		f = record.Append(f, tagMeta, e.meta.JSON())
	}
	if e.attempts > 0 {
		f = record.AppendNumber(f, tagAttempts, uint64(e.attempts))
	}
	if e.window != 0 {
		f = record.AppendNumber(f, tagLeft, uint64(max(e.window-now, 0).Milliseconds()))
	}
	return record.AppendNumber(f, tagAge, uint64(max(now-e.queued, 0).Milliseconds()))
}

// number is the Source.Seq that e was made with.
func (e *event) number() uint64 {
	n, err := strconv.ParseUint(string(e.requestID()[e.conn+1:]), 10, 32)
	if err != nil {
		panic("BUG: a request id without a number")
	}
	return n
}
