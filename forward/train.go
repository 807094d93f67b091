package forward

import (
	"errors"
	"time"

	"ws-gateway/forward/callback"
)

// A train is a job of several lanes, chained: their first events are written one
// behind the other to the worker's connection, and the answers read in turn
// (RFC 9112, section 9.3.2). It saves the worker most of its system calls, and the
// app its own, if it reads ahead.
//
// It is made only while every worker is busy: an event that finds one idle never
// stands behind another. What a train risks is that an event whose call hangs
// holds up those behind it; that those behind an answer which ends the connection
// may have been handled or not, and are sent again; and that an app, or a proxy
// before it, cannot do it. After a connection that has ended early the worker
// sends one by one for a while.
const (
	maxTrain = 64 << 10 // bytes of a train's events: it fits in the socket's buffer
	aloneFor = 256      // events that are sent one by one after a train has broken
)

// pipeline allows for trains of so many lanes.
func (s *scheduler) pipeline(lanes int) {
	s.train = lanes
	s.gate.full *= lanes
	s.gate.limit = s.gate.full
}

// couple chains lanes that are ready to j's, in their turn: a worker's share of
// them, for the others will come for theirs.
func (s *scheduler) couple(j job) {
	if s.train == 1 || j.kind != jobAttempt || j.lane.auth != nil {
		return
	}
	last, size := j.lane, j.lane.head.trainSize()
	share := min(s.train-1, s.ready.length*s.train/s.gate.full, s.gate.limit-s.inFlight)
	for range share {
		if size += s.ready.head.head.trainSize(); size > maxTrain {
			break
		}
		last.next = s.ready.pop()
		last = last.next
		s.inFlight++
	}
}

// trainSize is about how many bytes the event takes in a train.
func (e *event) trainSize() int { return len(e.buf) + len(e.cookie) + len(e.headers) }

// uncouple appends an empty report for the job, and one for each further lane of
// it where it is a train.
func (w *worker) uncouple(dst []report, j job) []report {
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

// pull delivers a train. Where it breaks, the rest is delivered one by one.
func (w *worker) pull(train []report) {
	concluded := 0
	if w.alone == 0 {
		concluded = w.pipeline(train)
		for _, r := range train[concluded:] {
			w.alone = aloneFor
			r.job.lane.head.redialed = true // it goes out again at once, and that once only
		}
	}
	for i := concluded; i < len(train); i++ {
		w.alone = max(w.alone-1, 0)
		w.deliver(&train[i])
	}
}

// pipeline writes a train and reads the answers until the connection ends. It
// returns how many of its events are concluded.
func (w *worker) pipeline(train []report) (concluded int) {
	deadline := time.Now().Add(w.terms.timeout)
	w.client.Vet()
	if !w.client.Connected() {
		if err := w.client.Connect(w.f.ctx, deadline); err != nil {
			for i := range train {
				w.depart(&train[i])
				w.arrive(&train[i], 0, 0, err)
			}
			return len(train)
		}
	}
	if err := w.client.SetDeadline(deadline); err != nil {
		w.client.HangUp()
		return 0
	}
	wrote := w.send(train)
	for i := range train {
		if !w.client.Connected() {
			return i
		}
		if i > 0 && w.client.SetDeadline(time.Now().Add(w.terms.timeout)) != nil {
			w.client.HangUp()
			return i
		}
		status, retryAfter, err := w.client.ReadNext(wrote, len(train)-1-i)
		if errors.Is(err, callback.ErrNoAnswer) {
			return i
		}
		w.arrive(&train[i], status, retryAfter, err)
	}
	return len(train)
}

// send writes the events of a train.
func (w *worker) send(train []report) error {
	for i := range train {
		w.depart(&train[i])
		p := train[i].job.lane.head.request()
		w.client.Queue(&p)
	}
	w.f.counters.pipelined.Add(uint64(len(train) - 1))
	return w.client.Flush()
}

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
