package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/reload"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// A reload resolves the configuration anew, from the same command line and
// environment and from the files as they are now, and checks it as a start does.
// Options that cannot be changed while the process runs (those without reload in
// the table) keep their values; what comes out is checked once more, and by each
// part. Only then it is put into force. Until then nothing has changed.

// slowRead is how long the files may take before that is said.
const slowRead = 5 * time.Second

// digest tells the content of a file from another.
type digest [sha256.Size]byte

func digestOf(text string) digest { return sha256.Sum256([]byte(text)) }

// pendingChange is a value that an option has now, and that a restart puts into
// force.
type pendingChange struct {
	option, shown string
	from          settings.Source
}

// knownToDemo are options that the demo's app learns of when it starts.
var knownToDemo = []string{"user-header", "admin-token", "admin-token-file"}

// compared is what a reload compares of a configuration.
func (c *config) compared() (options []reload.Option) {
	for _, v := range c.Values {
		o := reload.Option{Name: v.Name, Value: v.Target.Interface(), Can: v.Reloads() && !(c.demo && slices.Contains(knownToDemo, v.Name))}
		if content, ok := c.contents[v.Name]; ok && !v.Target.IsZero() {
			o.Content = content
		}
		options = append(options, o)
	}
	return options
}

// again resolves the configuration of a gateway that runs with c.
func (c *config) again() (*config, error) {
	next, err := parseConfig(c.args, c.env, io.Discard)
	if next != nil && next.Values != nil && c.fileKeys > 0 && next.fileKeys == 0 && !next.Blind() {
		return nil, fmt.Errorf("--config %q: the file has no options in it, where it had %d: is it being written? Put a finished file in its place (mv)", c.Config, c.fileKeys)
	}
	if err != nil {
		return nil, err
	}
	next.fitMemory()
	next.takeOver(c.inherited)
	if c.demo {
		next.beDemo(c.callback)
	}
	return next, nil
}

// hold gives the options that need a restart the values that they have in old, and
// checks the result.
func (c *config) hold(old *config, options []string) error {
	if len(options) == 0 {
		return nil
	}
	for _, v := range c.Values {
		if !slices.Contains(options, v.Name) {
			continue
		}
		c.pending = append(c.pending, pendingChange{v.Name, v.Shown(), c.From(v.Name)})
		i := slices.IndexFunc(old.Values, func(o settings.Value) bool { return o.Name == v.Name })
		v.Target.Set(old.Values[i].Target)
		delete(c.Sources, v.Name)
		if from, ok := old.Sources[v.Name]; ok {
			c.Sources[v.Name] = from
		}
	}
	c.warnings = nil
	if err := c.finish(c.env); err != nil {
		return fmt.Errorf("with --%s as before, for which a restart is needed: %w", strings.Join(options, " and --"), err)
	}
	if c.demo {
		c.callback = old.callback
	}
	return nil
}

// hangUp is what SIGHUP asks for: files are opened anew, the configuration is
// reloaded.
func (g *gateway) hangUp(ctx context.Context) {
	if g.reopen() {
		g.log.Info().Msg("SIGHUP: files reopened")
	}
	g.supervisor.Reloading()
	either := program.NewLevel(g.config().LogLevel)
	changed, err := g.reload(ctx)
	if ctx.Err() != nil {
		return // it stops
	}
	defer func() { g.supervisor.Reloaded(g.status()) }()
	if err != nil {
		message := strings.Join(strings.Split(err.Error(), "\n"), "; ")
		g.record.Add(reload.Outcome{At: time.Now(), Error: message})
		g.log.Error().Str("error", message).Msg("SIGHUP: the configuration is wrong: nothing of it is taken, what was in force stays")
		return
	}
	either.Loosen(g.config().LogLevel) // that it is another one is told by whichever lets it through
	log := either.Of(g.log)
	restart := pendingOptions(g.config().pending)
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

// reload puts into force what has changed and can be changed. An error changes
// nothing.
func (g *gateway) reload(ctx context.Context) (changed []string, err error) {
	old := g.config()
	next, changed, err := readAgain(ctx, old, func() {
		g.log.Warn().Msg("SIGHUP: the configuration is still being read: is one of its files a pipe, or on a disk that does not answer? What was in force stays until then, and another SIGHUP waits")
	})
	if err != nil {
		return nil, err
	}
	app := []string{"callback-url", "manifest", "callback-ca", "callback-cert", "callback-key"}
	anotherApp := slices.ContainsFunc(changed, func(option string) bool { return slices.Contains(app, option) })
	if !anotherApp {
		next.callbackTLS = old.callbackTLS // connections that are made by it stay
	}
	if err := g.warnOfNewLimits(old, next); err != nil {
		return nil, err
	}
	apply, err := g.prepare(next)
	if err != nil {
		return nil, err
	}
	for _, warning := range next.warnings {
		if !slices.Contains(old.warnings, warning) {
			g.log.Warn().Msg(warning)
		}
	}
	if len(changed) > 0 {
		apply()
	}
	g.inForce.Store(next)
	if next.exposure().Open() && !old.exposure().Open() { // the token is gone
		g.sayWhoManages()
	}
	if anotherApp && next.callback != "" {
		g.serving.Go(func() { g.lookForApp(ctx) })
	}
	return changed, nil
}

// readAgain resolves the configuration anew, with what needs a restart as it is in
// old, and returns what has changed. When ctx ends first the reading is left to
// itself, and ends with the process: files may be on a disk that hangs. Nor does a
// file on which a parser fails end a gateway that has connections.
//
// slow is called once if it takes long.
func readAgain(ctx context.Context, old *config, slow func()) (next *config, changed []string, err error) {
	type result struct {
		next    *config
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
		if r.next, r.err = old.again(); r.err != nil {
			return
		}
		_, restart := reload.Compare(old.compared(), r.next.compared())
		if r.err = r.next.hold(old, restart); r.err != nil {
			return
		}
		r.changed, _ = reload.Compare(old.compared(), r.next.compared()) // hold has read files once more
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

// warnOfNewLimits is warnOfLimits for what old did not have.
func (g *gateway) warnOfNewLimits(old, next *config) error {
	before := g.around.Judge(old.demand(), g.connectionLimit(old))
	for _, f := range g.around.Judge(next.demand(), g.connectionLimit(next)) {
		switch {
		case f.State == finding.Fail:
			return f.Err()
		case f.State == finding.Warn && !slices.Contains(before, f):
			g.log.Warn().Str("fix", f.Fix).Msg(f.Name + ": " + f.Message)
		}
	}
	return nil
}

// prepare has each part check what it would get, and returns what puts it into
// force.
func (g *gateway) prepare(next *config) (apply func(), err error) {
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
	add(func() { g.level.Set(next.LogLevel) }, nil)
	return func() {
		for _, step := range steps {
			step()
		}
	}, err
}

// config is the configuration in force.
func (g *gateway) config() *config { return g.inForce.Load() }

// connectionLimit is how many connections c allows.
func (g *gateway) connectionLimit(c *config) int {
	return g.around.Connections(c.demand())
}

// lastReload is admin.Config.LastReload.
func (g *gateway) lastReload() (admin.LastReload, bool) {
	o, ok := g.record.Last()
	return admin.LastReload{Time: o.At, Error: o.Error, NeedRestart: o.Restart}, ok
}

func pendingOptions(pending []pendingChange) (names []string) {
	for _, p := range pending {
		names = append(names, p.option)
	}
	return names
}
