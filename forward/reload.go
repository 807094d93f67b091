package forward

import (
	"crypto/tls"
	"time"

	"ws-gateway/forward/callback"
)

// terms are what of a Config can change while events are delivered. They are
// immutable. A worker looks for new ones between two jobs, so that an attempt is
// made by the same terms from beginning to end.
type terms struct {
	target callback.Target // with the header fields that are always the same
	route  *route          // a connection is of use to all terms of its route
	dial   callback.DialFunc
	secure *tls.Config // nil: not secured

	secrets      []string
	timeout      time.Duration
	authorizeFor time.Duration
	retryFor     time.Duration
	replyMax     int
}

// route is where connections to the app go, and how they are secured.
type route struct {
	url    string
	config *tls.Config // as configured
}

// newTerms makes terms of cfg, which has been completed. Where the route is that of
// old, which may be nil, connections made by it are kept.
func newTerms(cfg *Config, dialer func(callback.Target) callback.DialFunc, old *terms) (*terms, error) {
	to, err := callback.ParseTarget(cfg.URL)
	if err != nil {
		return nil, err
	}
	for _, field := range cfg.Headers {
		to.AddField(field.Name, field.Value)
	}
	if cfg.Epoch != "" {
		to.AddField("X-Ws-Epoch", cfg.Epoch)
	}
	t := &terms{
		target: to, secrets: cfg.Secrets,
		timeout: cfg.Timeout, authorizeFor: cfg.AuthorizeFor, retryFor: cfg.RetryFor, replyMax: cfg.ReplyMax,
	}
	if r := (route{cfg.URL, cfg.TLS}); old != nil && *old.route == r {
		t.route, t.dial, t.secure = old.route, old.dial, old.secure
	} else {
		t.route, t.dial, t.secure = &r, dialer(to), to.TLSConfig(cfg.TLS)
	}
	return t, nil
}

// Reload checks cfg as New does and returns what puts it into force; until that is
// called nothing changes. Calls of apply must not overlap, and there must be none
// once Drain has been called.
//
// It takes over URL, TLS, Headers, Secrets, Timeout, AuthorizeFor, RetryFor,
// QueueEvents, QueueBytes, Memory, JSONDepth, Linger, ReplyMax, DeadLetterMaxSize and
// DeadLetterKeep; the rest stays as it is. Whatever waits goes out by the new configuration, from its
// next attempt on; what is under way ends as it began, and an event that has been
// attempted keeps the end of its time. TLS is another one if it is another pointer:
// then, as with another URL, idle connections to the app are closed, and others
// after the answer that they wait for.
func (f *Forwarder) Reload(cfg Config) (apply func(), err error) {
	cfg.Epoch = f.cfg.Epoch
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	old := f.terms.Load()
	t, err := newTerms(&cfg, f.dialer, old)
	if err != nil {
		return nil, err
	}
	return func() {
		f.terms.Store(t)
		f.lanes.rebound(bounds{events: cfg.QueueEvents, bytes: cfg.QueueBytes})
		f.pressure.move(cfg.Memory)
		f.events.newer.Store(int64(cfg.JSONDepth))
		f.replies.limit.Store(int64(cfg.ReplyMax))
		f.letters.Resize(cfg.DeadLetterMaxSize, cfg.DeadLetterKeep)
		f.pool.renew(cfg.RetryFor, cfg.Linger, t.route != old.route)
		if t.target.Name != old.target.Name {
			f.pool.hurry(f.now()) // another app may be there for what the one before did not take
		}
	}, nil
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

// renew takes over what the scheduler has of new terms. With hangUp the connections
// of idle workers are closed.
func (p *pool) renew(retryFor, linger time.Duration, hangUp bool) {
	p.mu.Lock()
	p.sched.window, p.sched.linger = retryFor, linger
	var woken *worker
	if hangUp {
		for _, w := range p.warm {
			w.job, w.woken = job{kind: jobHangUp}, woken
			woken = w
		}
		p.warm = p.warm[:0]
	}
	p.mu.Unlock()
	p.wake(woken, false)
}

// rebound sets other bounds for all lanes. One that is full by the old ones, and is
// not by the new, is drained with its next event that has been dealt with.
func (t *table) rebound(b bounds) { t.newer.Store(&b) }

// limits are the bounds in force.
func (t *table) limits() bounds {
	if b := t.newer.Load(); b != nil {
		return *b
	}
	return t.bounds
}

// depth is the Config.JSONDepth in force.
func (p *eventPool) depth() int {
	if n := p.newer.Load(); n > 0 {
		return int(n)
	}
	return p.levels
}

// move sets another limit.
func (p *pressure) move(limit int64) {
	p.limit.Store(limit)
	p.wake()
}
