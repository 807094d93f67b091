package admin

import (
	"time"

	"github.com/valyala/fasthttp"
)

// LastReload is the result of a reload of the configuration.
type LastReload struct {
	Time        time.Time
	Error       string   // "": everything that can be reloaded is in force
	NeedRestart []string // options whose new values need a restart
}

// settings are the part of a Config that can change while requests are served, apart from
// the token and the user header. They are immutable; a request reads them once.
type settings struct {
	maxBodyBytes int
	jsonDepth    int
	profiles     bool
	revoked      chan struct{} // closed when another token comes into force
}

func newSettings(cfg *Config, revoked chan struct{}) *settings {
	return &settings{maxBodyBytes: cfg.MaxBodyBytes, jsonDepth: cfg.JSONDepth, profiles: cfg.Profiles, revoked: revoked}
}

// Reload checks cfg as New does and returns what puts it into force; until apply is called
// nothing changes. Calls of apply must not overlap.
//
// It applies Token, UserHeader, MaxBodyBytes, Memory, JSONDepth and Profiles. If the token
// is another one, or is gone, open streams of events end: their readers may ask again.
// Other requests that are under way go on.
func (s *Server) Reload(cfg Config) (apply func(), err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	applyRules, err := s.rules.Reload(cfg.UserHeader, cfg.Token)
	if err != nil {
		return nil, err
	}
	return func() {
		old := s.settings.Load()
		s.memory.configure(cfg.Memory)
		if !applyRules() {
			s.settings.Store(newSettings(&cfg, old.revoked))
			return
		}
		// The new token is in force already, so a stream that is just being let in
		// either was checked against it or is ended here: see letIn.
		s.settings.Store(newSettings(&cfg, make(chan struct{})))
		close(old.revoked)
	}, nil
}

// letIn checks once more a request whose answer goes on for long, and returns what is
// closed when the answer must end.
func (s *Server) letIn(ctx *fasthttp.RequestCtx, r *route) (revoked <-chan struct{}, no refusal) {
	revoked = s.settings.Load().revoked
	return revoked, refusal(s.rules.Check(&ctx.Request.Header, connOf(ctx).Peer.Place, r.who))
}
