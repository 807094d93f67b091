package gateway

import (
	"fmt"
	"os"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/exposure"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// logReady logs the one line that says what has started, and under which limits.
func (g *Gateway) logReady() {
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
	if c.Clustered() {
		e = e.Str("cluster_app", c.ClusterApp).Str("cluster_name", c.InstanceName())
	}
	e = e.Int("max_connections", g.connectionLimit(c)).
		Stringer("max_message_size", c.MaxMessageSize).
		Stringer("ping_timeout", c.PingTimeout).
		Int("processors", g.limits.Processors.Use(c.Loops).Procs).
		Int("loops", len(g.sockets.Loops())).
		Int("fd_limit", g.limits.Descriptors).
		Int("fd_allows", g.limits.DescriptorsAllow(c.Demand()))
	if m := g.limits.Memory; m.Limit > 0 {
		e = e.Stringer("memory_limit", settings.Size(m.Limit))
	}
	if m := g.limits.Memory; m.Runtime > 0 {
		e = e.Stringer("go_memory_limit", settings.Size(m.Runtime))
	}
	e.Str("version", program.Version()).Msg("ready")
	g.notifier.Ready(g.status())
}

// status is the line that systemctl status shows.
func (g *Gateway) status() string {
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

// warnOfLimits logs which limits are too small for the configuration.
func (g *Gateway) warnOfLimits() error {
	for _, f := range g.limits.Judge(g.cfg.Demand(), g.connectionLimit(g.cfg)) {
		switch f.State {
		case finding.Warn:
			g.log.Warn().Str("fix", f.Fix).Msg(f.Name + ": " + f.Message)
		case finding.Fail:
			return f.Err()
		}
	}
	return nil
}

// whoManages says who may use the management API of a gateway with bound addresses.
func (g *Gateway) whoManages() string {
	who := g.config().Exposure()
	if g.config().AdminListen != "" {
		who.AdminListen = addressOf(g.management)
	}
	if path, unix := strings.CutPrefix(who.AdminListen, "unix:"); unix {
		if info, err := os.Stat(path); err == nil { // unless it is in another user's folder
			who.SocketMode = info.Mode()
		}
	}
	return who.Manage()
}

// sayWhoManages warns if a proxy that passes on everything would open the management API
// to its clients. If Olares starts the gateway this is expected: the gateway recognises
// its proxies.
func (g *Gateway) sayWhoManages() {
	who := g.config().Exposure()
	if !who.Open() {
		return
	}
	e := g.log.Info()
	if exposure.Beyond(g.config().Listen) && !g.config().OfOlares() {
		e = g.log.Warn()
	}
	e.Str("fix", who.OpenFix()).Msg("management: " + who.Manage() + ": " + exposure.OpenMessage)
}
