package admin

import (
	"time"

	"github.com/valyala/fasthttp"
)

// LastReload is what became of a reload of the configuration.
type LastReload struct {
	Time        time.Time
	Error       string   // "": what can be reloaded is in force
	NeedRestart []string // options that have another value now, which a restart puts into force
}

// settings are what of a Config, the token and the user header apart, can change
// while requests are served. They are immutable; a request reads them once.
type settings struct {
	maxBodyBytes int
	jsonDepth    int
	profiles     bool
	revoked      chan struct{} // closed when another token comes into force
}

func newSettings(cfg *Config, revoked chan struct{}) *settings {
	return &settings{maxBodyBytes: cfg.MaxBodyBytes, jsonDepth: cfg.JSONDepth, profiles: cfg.Profiles, revoked: revoked}
}

// Reload checks cfg as New does and returns what puts it into force; until that is
// called nothing changes. Calls of apply must not overlap.
//
// It takes over Token, UserHeader, MaxBodyBytes, Memory, JSONDepth and Profiles. With
// another token, or none where there was one, streams of events that have been let
// in before end: whoever is still allowed to asks again. Other requests that are
// under way go on.
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

// letIn looks once more at the token of a request whose answer goes on for long, and
// returns what is closed when it must end.
func (s *Server) letIn(ctx *fasthttp.RequestCtx, r *route) (revoked <-chan struct{}, no refusal) {
	revoked = s.settings.Load().revoked
	return revoked, refusal(s.rules.Check(&ctx.Request.Header, connOf(ctx).Peer.Place, r.who))
}
