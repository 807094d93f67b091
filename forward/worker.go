package forward

import (
	"errors"
	"time"

	"ws-gateway/forward/callback"
)

// worker carries out jobs, one at a time, on a connection of its own.
type worker struct {
	f      *Forwarder
	terms  *terms // of the next attempt
	client callback.Client
	wake   chan struct{} // has one place; a value says that job is set

	body    []byte    // of the batch that is being attempted
	single  [1]*event // of events
	reports []report  // of the last job
	alone   int       // jobs that must not be pipelines

	// Guarded by the pool while the worker is idle, the worker's own otherwise.
	job       job
	woken     *worker // the one after it in a list of workers to wake
	cut       bool    // Hold has cut off what it did; guarded by the pool, as the next one
	awaited   bool    // Hold waits for its report
	idleSince time.Duration
}

func newWorker(f *Forwarder) *worker {
	w := &worker{
		f:    f,
		wake: make(chan struct{}, 1),
	}
	w.client.Clock = f.cfg.Clock
	if f.cfg.Settles {
		w.client.Watch = new(callback.Watch)
	}
	return w
}

// run does jobs until it is told to stop.
func (w *worker) run() {
	defer w.client.HangUp()
	j := w.f.pool.exchange(w, nil)
	for j.kind != jobStop {
		w.renew()
		w.reports = w.unchain(w.reports[:0], j)
		if len(w.reports) > 1 {
			w.deliverAll(w.reports)
		} else {
			w.do(&w.reports[0])
		}
		w.renew() // so that an idle connection is never of an old route
		j = w.f.pool.exchange(w, w.reports)
	}
}

// renew takes over new terms, if there are any.
func (w *worker) renew() {
	t := w.f.terms.Load()
	if t == w.terms {
		return
	}
	if w.terms != nil && w.terms.route != t.route {
		w.client.HangUp()
	}
	w.terms = t
	w.client.Target, w.client.Dial, w.client.TLS = &t.target, t.dial, t.secure
	w.client.Signer = callback.NewSigner(t.secrets)
}

// do does a job that is no pipeline.
func (w *worker) do(r *report) {
	switch l := r.job.lane; r.job.kind {
	case jobAttempt, jobProbe:
		w.client.Watch.Begin(l.key)
		if l.auth != nil {
			w.authorize(r)
		} else {
			w.deliver(r)
		}
		w.client.Watch.End()
	case jobExpire:
		r.outcome = Unreachable
		if l.batch != nil {
			w.settleBatch(r, 0)
		} else {
			w.fail(r, 0)
		}
	case jobHangUp:
		w.client.Reset()
	}
}

// pack prepares what a job POSTs. With batches it forms the job's batch, or decides how to
// go on with the one that it has, and writes the body.
func (w *worker) pack(j job) {
	f, l := w.f, j.lane
	if f.cfg.Batch == 1 || l.auth != nil {
		return
	}
	if l.batch == nil {
		limit := f.cfg.Batch
		if j.kind == jobProbe {
			limit = 1 // the event's own window may end with the probe
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

// events are those that a job for l attempts: its first, or those of its batch.
func (w *worker) events(l *lane) []*event {
	if l.batch != nil {
		return l.batch.tried
	}
	w.single[0] = l.head
	return w.single[:]
}

// deliver attempts a lane's first event or its batch, and deals with the outcome.
func (w *worker) deliver(r *report) {
	w.pack(r.job)
	w.begin(r)
	status, retryAfter, err := w.attempt(r.job.lane, r.job.kind == jobProbe)
	w.conclude(r, status, retryAfter, err)
}

// begin starts the windows of a job's events.
func (w *worker) begin(r *report) {
	e := r.job.lane.head
	r.began = w.f.now()
	if l := r.job.lane; l.batch == nil {
		w.f.lanes.equip(l.key, l.head)
	}
	for _, each := range w.events(r.job.lane) { // in a batch no event fails before its own window has ended
		if each.window == 0 {
			each.window = r.began + w.terms.retryFor
		}
		e.window = max(e.window, each.window)
	}
}

// conclude deals with the outcome of an attempt.
func (w *worker) conclude(r *report, status int, retryAfter time.Duration, err error) {
	f, e := w.f, r.job.lane.head
	r.outcome, r.err = w.judge(status, err), err
	f.observer.attempt(r.job.lane.key, r.outcome, status, err)
	f.counters.outcomes[r.outcome].Add(1)
	now := f.now()
	f.histograms.attempted(r.job.lane, r.outcome, now-r.began)
	switch {
	case r.job.lane.batch != nil:
		w.concludeBatch(r, status, retryAfter)
	case r.outcome == Delivered:
		w.heed(r.job.lane.key, e)
		r.back = f.end(r.job.lane, e, ending{outcome: Delivered, status: status})
	case r.outcome == CutOff:
		r.again = r.job.lane // after Hold; or Drain finds the event in its lane
	case r.outcome.retryable():
		due, again := f.policy.retryAt(now, e.window, e.attempts, retryAfter)
		if !again {
			w.fail(r, status)
			return
		}
		r.again = r.job.lane
		if r.outcome != Unreachable { // the circuit breaker decides when, for all of them
			r.due = due
		}
	default:
		w.fail(r, status)
	}
}

// heed does what the app's answer to e says about the connection.
func (w *worker) heed(key uint64, e *event) {
	f := w.f
	if f.cfg.Regroup != nil && !e.lost { // no connection of this process has the key of a lost one
		if join, leave := f.regroups.read(&w.client, e.requestID()); len(join)+len(leave) > 0 {
			f.cfg.Regroup(key, join, leave)
		}
	}
	if f.notes.store != nil && e.action != actionClose { // behind which there is nothing that could carry it
		f.notes.take(&w.client, key, e)
	}
	if f.cfg.Reply != nil {
		if reply, ok := f.replies.read(&w.client, e.requestID()); ok {
			f.cfg.Reply(key, reply)
		}
		w.client.Forget()
	}
}

// judge is classify, but looks at the answer's head too.
func (w *worker) judge(status int, err error) Outcome {
	o := classify(status, err)
	if err == nil {
		w.f.heads.look(&w.client, status)
	}
	if o == Rejected || o == Unavailable {
		if value, ok := w.client.Field("X-Ws-Error"); ok && blamesUs(o, value) {
			return SignatureRefused
		}
	}
	return o
}

// fail gives up on a job's event.
func (w *worker) fail(r *report, status int) {
	l := r.job.lane
	r.back = w.f.end(l, l.head, ending{outcome: r.outcome, status: status})
}

// attempt POSTs the first event of l, or its batch. An app closes connections that it
// finds idle, and now and then one that is just being used. Then the event goes out again
// at once on a new connection, but only once in its life.
func (w *worker) attempt(l *lane, probe bool) (status int, retryAfter time.Duration, err error) {
	events := w.events(l)
	e := events[0]
	if probe { // which is to find out whether the app accepts connections
		w.client.HangUp()
	}
	for {
		attempt := w.count(events)
		status, retryAfter, err = w.once(l, attempt, probe)
		if !w.client.Reused() || e.redialed || !errors.Is(err, callback.ErrNoAnswer) {
			break
		}
		e.redialed = true
	}
	if err != nil && w.client.Interrupted() {
		err = callback.ErrInterrupted
	}
	return status, retryAfter, err
}

// count counts an attempt at events and returns its number. That is the same for all of
// them, and higher than any that one of them has had. So some skip numbers if only part of
// their batch was tried before.
func (w *worker) count(events []*event) (most int) {
	for _, e := range events {
		most = max(most, e.attempts+1)
	}
	for _, e := range events {
		e.attempts = most
	}
	w.f.counters.attempts.Add(1)
	if most > 1 {
		w.f.counters.retries.Add(1)
	}
	return most
}

func (w *worker) once(l *lane, attempt int, probe bool) (status int, retryAfter time.Duration, err error) {
	deadline := time.Now().Add(w.timeout(l))
	p := w.events(l)[0].request()
	p.Attempt, p.Batch, p.Fields = attempt, l.batch != nil, w.f.cfg.Regroup != nil || w.f.notes.store != nil
	if p.Batch {
		p.Cookie, p.Headers, p.Body, p.Tail = "", "", w.body, ""
		held := int64(cap(w.body))
		w.f.pressure.add(held)
		defer w.f.pressure.add(-held)
	}
	switch {
	case w.f.cfg.Reply != nil:
		p.Wanted = w.terms.replyMax
	case l.auth != nil:
		p.Wanted = callback.MaxBody
	}
	for {
		if !w.client.Connected() {
			if err := w.client.Connect(w.f.dialing.Load(), deadline); err != nil {
				return 0, 0, err
			}
			if probe {
				w.f.pool.reached()
			}
		}
		status, retryAfter, err = w.client.Post(&p, deadline)
		if !errors.Is(err, callback.ErrUnasked) { // nothing has been sent: once more, on a new connection
			return status, retryAfter, err
		}
	}
}

// timeout is how long an attempt may take. An authorization must end in time.
func (w *worker) timeout(l *lane) time.Duration {
	if l.auth == nil {
		return w.terms.timeout
	}
	return min(w.terms.timeout, l.head.window-w.f.now())
}
