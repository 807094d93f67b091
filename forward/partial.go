package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/tidwall/gjson"

	"ws-gateway/forward/callback"
	"ws-gateway/jsoncheck"
)

// An app that has taken part of a batch may say so: a 2xx answer with
//
//	X-Ws-Batch: partial
//
//	{"failed":[{"request_id":"…"},{"request_id":"…","retry":false}]}
//
// names the events that it has not taken, and which of them not to send again. Only with
// the header is the body read, because apps answer with bodies of all kinds.

// partials counts such answers, and logs each kind of mistake in them once.
type partials struct {
	log        zerolog.Logger
	count      atomic.Uint64
	unreadable atomic.Uint64 // the whole batch is sent again
	unknown    atomic.Uint64 // ids that are not in the batch

	unreadableOnce, unknownOnce sync.Once
}

// read returns the ids that the answer names, and whether to send each of them again. ok
// is false if it cannot be read.
func (p *partials) read(c *callback.Client, tried []*event) (failed map[string]bool, ok bool) {
	p.count.Add(1)
	if c.Completeness == callback.Whole {
		failed, ok = parsePartial(c.Body())
	}
	if !ok {
		p.unreadable.Add(1)
		p.unreadableOnce.Do(func() {
			p.log.Warn().Bytes("request_id", tried[0].requestID()).
				Msg(`an answer with X-Ws-Batch: partial has no body such as {"failed":[{"request_id":"…"}]}: the whole batch is sent again; said once`)
		})
		return nil, false
	}
	known := 0
	for _, e := range tried {
		if _, named := failed[string(e.requestID())]; named {
			known++
		}
	}
	if unknown := len(failed) - known; unknown > 0 {
		p.unknown.Add(uint64(unknown))
		p.unknownOnce.Do(func() {
			p.log.Warn().Bytes("request_id", tried[0].requestID()).
				Msg("an answer with X-Ws-Batch: partial names a request_id that was not in the batch: such are ignored; said once")
		})
	}
	return failed, true
}

// parsePartial reads the body of a partial answer. If an id comes twice the last one
// counts.
func parsePartial(body []byte) (failed map[string]bool, ok bool) {
	if !jsoncheck.Valid(body) {
		return nil, false
	}
	list := gjson.GetBytes(body, "failed")
	if !list.IsArray() || !gjson.ParseBytes(body).IsObject() {
		return nil, false
	}
	failed = make(map[string]bool)
	list.ForEach(func(_, element gjson.Result) bool {
		id, retry := element.Get("request_id"), element.Get("retry")
		ok = element.IsObject() && id.Type == gjson.String && (!retry.Exists() || retry.IsBool())
		failed[id.Str] = retry.Type != gjson.False
		return ok
	})
	return failed, ok || len(failed) == 0
}

// settlePartly ends those events of a batch that the app has taken or does not want
// again. A connection's first event that is to be sent again holds up those after it,
// whatever the answer says about them: their order is worth more than a POST. The app
// knows that rule and may not have looked at them. So if the first one's time is over,
// those after it that the answer does not name are sent again all the same.
func (w *worker) settlePartly(r *report, status int, retryAfter time.Duration) {
	f, b, now := w.f, r.job.lane.batch, w.f.now()
	failed, ok := f.partials.read(&w.client, b.tried)
	w.client.Forget()
	if !ok {
		r.outcome = Broken
		w.postpone(r, status, retryAfter)
		return
	}
	failures, ends := b.failures+1, never
	for i := range b.lanes {
		s := &b.lanes[i]
		e := s.lane.head
		if s.tried > 0 && b.trial {
			e = b.tried[0]
		}
		overdue := false // one that should be sent again has failed for good instead
		for s.done < s.tried {
			retry, named := failed[string(e.requestID())]
			if named && retry && now < e.window {
				ends = min(ends, e.window)
				break
			}
			if overdue && !named {
				s.renew(e)
				break
			}
			switch {
			case !named:
				f.divisions.took(now)
				e.outcome = Delivered
			case retry:
				overdue = true
				e.outcome = Unavailable
			default:
				e.outcome = Rejected
			}
			if s.done++; s.done < s.tried {
				e = e.next
			}
		}
	}
	trial := b.trial || len(b.tried) < len(b.events)
	r.back, r.again = f.shrink(r.job.lane, status)
	if r.again == nil {
		return
	}
	r.again.batch.failures = failures
	if trial {
		r.again.batch.strikes, r.again.batch.since = patience-1, r.began
	}
	if ends < never { // an event that is to be sent again holds up the rest
		r.due, _ = f.policy.retryAt(now, ends, failures, retryAfter)
	}
}

// renew begins the windows of e and of those after it in the batch again, because they
// have waited for another event.
func (s *share) renew(e *event) {
	for n := s.done; n < s.count; n++ {
		e.window = 0
		if n+1 < s.count {
			e = e.next
		}
	}
}
