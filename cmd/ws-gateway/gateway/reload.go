package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/reload"
	"ws-gateway/cmd/ws-gateway/program"
)

// A reload reads the configuration again (config.Reread) and has each part check what it
// would get. Only then is it put into force: an error changes nothing.

// slowRead is how long reading the files may take before that is logged.
const slowRead = 5 * time.Second

// hangUp does what SIGHUP asks for: it reopens files and reloads the configuration.
func (g *Gateway) hangUp(ctx context.Context) {
	if g.reopen() {
		g.log.Info().Msg("SIGHUP: files reopened")
	}
	g.notifier.Reloading()
	either := program.NewLevel(g.config().LogLevel)
	changed, err := g.reload(ctx)
	if ctx.Err() != nil {
		return // the gateway is stopping
	}
	defer func() { g.notifier.Reloaded(g.status()) }()
	if err != nil {
		message := strings.Join(strings.Split(err.Error(), "\n"), "; ")
		g.record.Add(reload.Outcome{At: time.Now(), Error: message})
		g.log.Error().Str("error", message).Msg("SIGHUP: the configuration is wrong: nothing of it is taken, what was in force stays")
		return
	}
	either.Loosen(g.config().LogLevel) // so that the change of level itself is logged
	log := either.Of(g.log)
	restart := g.config().Pending()
	g.record.Add(reload.Outcome{At: time.Now(), Restart: restart})
	if len(restart) > 0 {
		log.Warn().Strs("options", restart).Msg("SIGHUP: options have been changed that need a restart: they stay as they were until then")
	}
	if len(changed) > 0 {
		log.Info().Strs("changed", changed).Msg("SIGHUP: reloaded")
	} else {
		log.Info().Msg("SIGHUP: nothing has changed that can be reloaded")
	}
}

// reload puts into force what has changed and can be changed. An error changes nothing.
func (g *Gateway) reload(ctx context.Context) (changed []string, err error) {
	old := g.config()
	next, changed, err := reread(ctx, old, func() {
		g.log.Warn().Msg("SIGHUP: the configuration is still being read: is one of its files a pipe, or on a disk that does not answer? What was in force stays until then, and another SIGHUP waits")
	})
	if err != nil {
		return nil, err
	}
	app := []string{"callback-url", "manifest", "callback-ca", "callback-cert", "callback-key"}
	anotherApp := slices.ContainsFunc(changed, func(option string) bool { return slices.Contains(app, option) })
	if !anotherApp {
		next.CallbackTLS = old.CallbackTLS // so that connections to the app stay open
	}
	if err := g.warnOfNewLimits(old, next); err != nil {
		return nil, err
	}
	apply, err := g.prepare(next)
	if err != nil {
		return nil, err
	}
	for _, warning := range next.Warnings {
		if !slices.Contains(old.Warnings, warning) {
			g.log.Warn().Msg(warning)
		}
	}
	if len(changed) > 0 {
		apply()
	}
	g.inForce.Store(next)
	if next.Exposure().Open() && !old.Exposure().Open() { // the token is gone
		g.sayWhoManages()
	}
	if anotherApp && next.Callback != "" {
		g.serving.Go(func() { g.lookForApp(ctx) })
	}
	return changed, nil
}

// reread reads the configuration again, and returns what has changed. If ctx ends
// first the reading goroutine is left to end with the process: files may be on a disk
// that hangs. A file on which a parser panics does not end a gateway that has
// connections.
//
// slow is called once if it takes long.
func reread(ctx context.Context, old *config.Config, slow func()) (next *config.Config, changed []string, err error) {
	type result struct {
		next    *config.Config
		changed []string
		err     error
	}
	read := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("a file cannot be read: %v", p)
			}
			read <- r
		}()
		r.next, r.changed, r.err = old.Reread()
	}()
	late := time.NewTimer(slowRead)
	defer late.Stop()
	for {
		select {
		case r := <-read:
			return r.next, r.changed, r.err
		case <-late.C:
			slow()
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// warnOfNewLimits is warnOfLimits for what was well with old.
func (g *Gateway) warnOfNewLimits(old, next *config.Config) error {
	before := g.limits.Judge(old.Demand(), g.connectionLimit(old))
	for _, f := range g.limits.Judge(next.Demand(), g.connectionLimit(next)) {
		switch {
		case f.State == finding.Fail:
			return f.Err()
		case f.State == finding.Warn && !slices.Contains(before, f):
			g.log.Warn().Str("fix", f.Fix).Msg(f.Name + ": " + f.Message)
		}
	}
	return nil
}

// prepare has each part check the configuration that it would get. apply puts it into
// force.
func (g *Gateway) prepare(next *config.Config) (apply func(), err error) {
	var steps []func()
	add := func(step func(), stepErr error) {
		steps, err = append(steps, step), errors.Join(err, stepErr)
	}
	if g.events != nil {
		add(g.events.Reload(g.forwardConfig(next)))
	}
	add(g.hub.Reload(g.hubConfig(next)))
	add(g.sockets.Reload(g.netpollConfig(next)))
	add(g.admin.Reload(g.adminConfig(next)))
	add(func() { g.process.Level.Set(next.LogLevel) }, nil)
	return func() {
		for _, step := range steps {
			step()
		}
	}, err
}

// config is the configuration in force.
func (g *Gateway) config() *config.Config { return g.inForce.Load() }

// connectionLimit returns how many connections c allows on this host.
func (g *Gateway) connectionLimit(c *config.Config) int {
	return g.limits.Connections(c.Demand())
}

// lastReload is admin.Config.LastReload.
func (g *Gateway) lastReload() (admin.LastReload, bool) {
	o, ok := g.record.Last()
	return admin.LastReload{Time: o.At, Error: o.Error, NeedRestart: o.Restart}, ok
}
