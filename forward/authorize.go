package forward

import "unicode/utf8"

// Answer is what the app says to an open event that is delivered before the
// upgrade.
type Answer struct {
	Status  int     // 0: there was no answer; Err says why
	Err     Outcome // Delivered with a 2xx status
	User    string  // value of the header X-Ws-User
	HasUser bool    // the answer has that header

	// Join and Leave, with Config.Regroup, are the groups that a 2xx answer has the
	// connection leave, and then join. The caller sees to it before the upgrade;
	// Config.Regroup is not called.
	Join, Leave []string

	// Body is the first 4 KiB of the body, valid until done returns.
	Body        []byte
	ContentType string

	// Reply, with Config.Reply, is what a 2xx answer says to the client. The caller sends it
	// after the upgrade. Its Body is valid until done returns.
	Reply Reply
}

// NamesUser reports whether the answer names the connection's user. A name that is not UTF-8 is
// none.
func (a *Answer) NamesUser() bool { return a.HasUser && utf8.ValidString(a.User) }

// authorization is what a lane made by Authorize has besides its event.
type authorization struct {
	done          func(Answer)
	user, headers string // as the journal has them
}

// Authorize delivers a connection's open event and calls done with the answer, exactly
// once: within Config.AuthorizeFor, or as soon after that as the attempt under way has
// been cut off. Config.Meta then has what a 2xx answer says about metadata. It tries again only if no answer came, because there was no connection or
// it broke. A 2xx status means that the app has taken the event. Whatever the answer, the
// event is not delivered again, logged as failed or written to the dead-letter file.
//
// The event does not go through the connection's lane, so what the caller appends before
// done is called may overtake it. Keeping the order is the caller's task, and so is a
// bound on how many wait; they count towards Config.Memory.
//
// done is called on a goroutine of the Forwarder's own, with no lock held, and must not
// block for long. Drain answers those that are left with CutOff; a call after that is
// answered so before it returns.
func (f *Forwarder) Authorize(src Source, req Request, done func(Answer)) {
	now := f.now()
	e := f.events.open(&src, &req)
	e.queued, e.window = now, now+f.terms.Load().authorizeFor
	l := &lane{
		key: src.Key, head: e, tail: e, events: 1,
		cost: laneCost + int64(len(e.cookie)+len(e.headers)),
		auth: &authorization{done: done, user: src.User, headers: src.Headers},
	}
	f.pressure.add(e.cost() + l.cost)
	f.counters.events.Add(1)
	f.counters.lanes.Add(1)
	f.counters.authorizing.Add(1)
	f.ready(l, e.action, &src, now)
}

// authorize attempts the event of an authorization and deals with the outcome.
func (w *worker) authorize(r *report) {
	f, l := w.f, r.job.lane
	e := l.head
	r.began = f.now()
	status, _, err := w.attempt(l, r.job.kind == jobProbe)
	r.outcome, r.err = w.judge(status, err), err
	if err == nil && status/100 == 4 && r.outcome != SignatureRefused {
		f.observer.refused(status)
	} else {
		f.observer.attempt(l.key, r.outcome, status, err)
	}
	f.counters.outcomes[r.outcome].Add(1)
	now := f.now()
	f.histograms.attempted(l, r.outcome, now-r.began)
	switch r.outcome {
	case CutOff:
		r.again = l // after Hold; or Drain answers it
		return
	case Unreachable, Broken, Starved:
		if due := now + f.policy.backoff(e.attempts); due < e.window {
			r.again, r.due = l, due
			return
		}
	}
	a := Answer{Status: status, Err: r.outcome}
	switch {
	case err == nil && r.outcome == Delivered && w.client.StatusOnly:
		a = Answer{Err: Broken} // the part that could not be read may name the user
	case r.outcome == SignatureRefused:
		a.Status = 0 // it does not answer the question
	case err == nil:
		w.read(&a, l.key, e)
	}
	f.end(l, e, ending{answer: &a})
	w.client.Forget()
}

// read takes from the last answer what its caller wants to know.
func (w *worker) read(a *Answer, key uint64, e *event) {
	user, found := w.client.Field("X-Ws-User")
	a.User, a.HasUser = string(user), found
	contentType, _ := w.client.Field("Content-Type")
	a.ContentType = string(contentType)
	a.Body = w.client.Excerpt()
	if a.Err == Delivered && w.f.cfg.Regroup != nil {
		a.Join, a.Leave = w.f.regroups.read(&w.client, e.requestID())
	}
	if a.Err == Delivered && w.f.notes.store != nil {
		w.f.notes.take(&w.client, key, e)
	}
	if a.Err == Delivered && w.f.cfg.Reply != nil {
		a.Reply, _ = w.f.replies.read(&w.client, e.requestID())
	}
}

// expire ends an authorization whose time is over.
func (f *Forwarder) expire(l *lane) {
	o := TimedOut
	if f.pool.down() {
		o = Unreachable
	}
	f.end(l, l.head, ending{answer: &Answer{Err: o}})
}
