package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward"
)

// logReady is the one line that says what has started, and under which limits.
func (g *gateway) logReady() {
	c := g.config()
	g.sayWhoManages()
	e := g.log.Info().Stringer("listen", g.address).Str("manage", g.whoManages())
	if c.AdminListen != "" {
		e = e.Str("admin", addressOf(g.management))
	}
	if c.MetricsListen != "" {
		e = e.Str("metrics", addressOf(g.metrics))
	}
	if c.Callback != "" {
		e = e.Str("callback", c.ShownCallback())
	}
	e = e.Int("max_connections", g.connectionLimit(c)).
		Stringer("max_message_size", c.MaxMessageSize).
		Stringer("ping_timeout", c.PingTimeout).
		Int("loops", len(g.sockets.Loops())).
		Int("fd_limit", g.around.Descriptors).
		Int("fd_allows", g.around.DescriptorsAllow(c.Demand()))
	if m := g.around.Memory; m.Limit > 0 {
		e = e.Stringer("memory_limit", settings.Size(m.Limit))
	}
	if m := g.around.Memory; m.Runtime > 0 {
		e = e.Stringer("go_memory_limit", settings.Size(m.Runtime))
	}
	e.Str("version", program.Version()).Msg("ready")
	g.supervisor.Ready(g.status())
}

// status is the line that systemctl status shows.
func (g *gateway) status() string {
	sockets := g.sockets.Stats()
	text := fmt.Sprintf("%d connections of %d", sockets.Open, g.connectionLimit(g.config()))
	if last, ok := g.record.Last(); ok && last.Error != "" {
		text = "the last reload failed; " + text
	}
	if g.events == nil {
		return text
	}
	events := g.events.Stats()
	text += fmt.Sprintf(", %d events wait for the app", events.Waiting)
	switch {
	case events.AppDown:
		text += ", which is down"
	case events.InTrouble:
		text += ", which does not take them: see the log"
	}
	return text
}

// warnOfLimits logs what is too small for the configuration.
func (g *gateway) warnOfLimits() error {
	for _, f := range g.around.Judge(g.cfg.Demand(), g.connectionLimit(g.cfg)) {
		switch f.State {
		case finding.Warn:
			g.log.Warn().Str("fix", f.Fix).Msg(f.Name + ": " + f.Message)
		case finding.Fail:
			return f.Err()
		}
	}
	return nil
}

// reachTimeout bounds the look at the app.
const reachTimeout = 5 * time.Second

// lookForApp says once whether somebody listens at the callback URL. It ends with
// ctx.
func (g *gateway) lookForApp(ctx context.Context) {
	c := g.config()
	f := appFinding(ctx, c)
	if ctx.Err() != nil {
		return
	}
	e := g.log.Info()
	if f.State != finding.OK {
		e = g.log.Warn().Str("fix", f.Fix)
	}
	e.Msg("app: " + f.Message)
}

// appFinding connects to the app. No request is made: a handler that does not
// look at the method, and many don't, would take it for an event, and whoever
// answers OPTIONS or HEAD need not be that handler.
func appFinding(ctx context.Context, c *config.Config) finding.Finding {
	const name = "app"
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	err := forward.Reach(ctx, c.Callback, c.CallbackTLS)
	shown := c.ShownCallback()
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
		return finding.New(name, finding.OK, "somebody listens at "+shown, "")
	case errors.As(err, &certificate):
		return finding.New(name, finding.Fail, fmt.Sprintf("the certificate of %s is not trusted: %v", shown, certificate.Err), "name its authority with --callback-ca")
	}
	return finding.New(name, finding.Warn, fmt.Sprintf("nobody can be reached at %s yet: %v", shown, err),
		"start the app, or correct --callback-url; events are tried again for --callback-retry-for")
}
