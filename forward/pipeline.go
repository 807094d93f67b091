package forward

import (
	"errors"
	"time"

	"ws-gateway/forward/callback"
)

// A pipeline is a job of several lanes, chained: their first events are written one
// after the other to the worker's connection, and the answers are read in turn (RFC
// 9112, section 9.3.2). It saves the worker most of its system calls, and the app its
// own, if it reads ahead.
//
// Lanes are pipelined only while every worker is busy: an event that finds one idle never
// stands behind another. What a pipeline risks is that an event whose call hangs holds up
// those behind it; that those behind an answer which ends the connection may have been
// handled or not, and are sent again; and that an app, or a proxy in front of it, cannot
// do it. After a pipeline has broken the worker sends one by one for a while.
const (
	maxPipelined = 64 << 10 // bytes of a pipeline's events: it fits into the socket's buffer
	aloneFor     = 256      // events that are sent one by one after a pipeline has broken
)

// pipeline allows for jobs of up to so many lanes, whose events have up to so many bytes of
// metadata.
func (s *scheduler) pipeline(lanes, meta int) {
	s.pipelined, s.meta = lanes, meta
	s.breaker.full *= lanes
	s.breaker.limit = s.breaker.full
}

// chain appends ready lanes to j, in their turn. It takes a worker's share of them, as
// the others will come for theirs.
func (s *scheduler) chain(j job) {
	if s.pipelined == 1 || j.kind != jobAttempt || j.lane.auth != nil {
		return
	}
	last, size := j.lane, j.lane.head.pipelineSize()+s.meta
	share := min(s.pipelined-1, s.ready.len()*s.pipelined/s.breaker.full, s.breaker.limit-s.inFlight)
	for range share {
		if size += s.ready.first().head.pipelineSize() + s.meta; size > maxPipelined {
			break
		}
		last.next = s.ready.pop()
		last = last.next
		s.inFlight++
	}
}

// pipelineSize is about how many bytes the event takes in a pipeline.
func (e *event) pipelineSize() int { return len(e.buf) + len(e.cookie) + len(e.headers) }

// unchain appends an empty report for the job and, if it is a pipeline, one for each of
// its further lanes.
func (w *worker) unchain(dst []report, j job) []report {
	dst = append(dst, report{job: j})
	if w.f.cfg.Pipeline == 1 || j.kind != jobAttempt {
		return dst
	}
	for l := j.lane; l.next != nil; {
		l, l.next = l.next, nil
		dst = append(dst, report{job: job{lane: l, kind: jobAttempt}})
	}
	return dst
}

// deliverAll delivers a pipeline. If it breaks, the rest is delivered one by one.
func (w *worker) deliverAll(reports []report) {
	concluded := 0
	if w.alone == 0 {
		concluded = w.pipeline(reports)
		for _, r := range reports[concluded:] {
			w.alone = aloneFor
			r.job.lane.head.redialed = true // it goes out again at once, but only once
		}
	}
	for i := concluded; i < len(reports); i++ {
		w.alone = max(w.alone-1, 0)
		w.deliver(&reports[i])
	}
}

// pipeline writes the events and reads the answers until the connection ends. It returns
// how many events are concluded.
func (w *worker) pipeline(reports []report) (concluded int) {
	deadline := time.Now().Add(w.terms.timeout)
	w.client.Vet()
	if !w.client.Connected() {
		if err := w.client.Connect(w.f.dialing.Load(), deadline); err != nil {
			for i := range reports {
				w.depart(&reports[i])
				w.arrive(&reports[i], 0, 0, err)
			}
			return len(reports)
		}
	}
	if err := w.client.SetDeadline(deadline); err != nil {
		w.client.HangUp()
		return 0
	}
	wrote := w.send(reports)
	for i := range reports {
		if !w.client.Connected() {
			return i
		}
		if i > 0 && w.client.SetDeadline(time.Now().Add(w.terms.timeout)) != nil {
			w.client.HangUp()
			return i
		}
		status, retryAfter, err := w.client.ReadNext(wrote, len(reports)-1-i)
		if errors.Is(err, callback.ErrNoAnswer) {
			return i
		}
		w.arrive(&reports[i], status, retryAfter, err)
	}
	return len(reports)
}

// send writes the events of a pipeline.
func (w *worker) send(reports []report) error {
	for i := range reports {
		w.depart(&reports[i])
		p := reports[i].job.lane.head.request()
		w.client.Queue(&p)
	}
	w.f.counters.pipelined.Add(uint64(len(reports) - 1))
	return w.client.Flush()
}

// depart notes that a pipeline's event is written, arrive that its answer has come or
// never will.
func (w *worker) depart(r *report) {
	w.begin(r)
	w.count(w.events(r.job.lane))
}

func (w *worker) arrive(r *report, status int, retryAfter time.Duration, err error) {
	if err != nil && w.client.Interrupted() {
		err = callback.ErrInterrupted
	}
	w.conclude(r, status, retryAfter, err)
}
