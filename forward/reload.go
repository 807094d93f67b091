package forward

import (
	"crypto/tls"
	"strings"
	"time"

	"ws-gateway/forward/callback"
)

// terms are the part of a Config that can change while events are delivered. They are
// immutable. A worker looks for new ones between two jobs, so that the same terms hold
// for an attempt from beginning to end.
type terms struct {
	target callback.Target // with the header fields that are always the same
	route  *route          // a connection serves all terms with the same route
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

// newTerms makes terms of cfg, which withDefaults has completed. If the route is the same
// as that of old, which may be nil, connections are kept.
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
	if cfg.Instance != "" {
		to.AddField("X-Ws-Instance", escaped(cfg.Instance))
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

// escaped is a name as the value of a header field.
func escaped(name string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// Reload checks cfg as New does and returns a function that puts it into force. Until that
// is called nothing changes. Calls of apply must not overlap, and there must be none after
// Drain has been called.
//
// It takes over URL, TLS, Headers, Secrets, Timeout, AuthorizeFor, RetryFor,
// QueueEvents, QueueBytes, Memory, JSONDepth, Linger, ReplyMax, DeadLetterMaxSize and
// DeadLetterKeep; the rest stays as it is. The new configuration holds for an event from
// its next attempt on. An attempt under way ends as it began, and an event that has been
// attempted keeps the end of its time. TLS has changed if it is another pointer. Then, as
// with another URL, idle connections to the app are closed, and the others after the
// answer that they wait for.
func (f *Forwarder) Reload(cfg Config) (apply func(), err error) {
	cfg.Epoch, cfg.Instance = f.cfg.Epoch, f.cfg.Instance
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
		f.cfg.Meta.SetDepth(cfg.JSONDepth - wrapping)
		f.replies.limit.Store(int64(cfg.ReplyMax))
		f.letters.Resize(cfg.DeadLetterMaxSize, cfg.DeadLetterKeep)
		f.pool.renew(cfg.RetryFor, cfg.Linger, t.route != old.route)
		if t.target.Name != old.target.Name {
			f.pool.hurry(f.now()) // another app may take what the one before did not
		}
	}, nil
}
