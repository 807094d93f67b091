package main

import (
	"os"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/exposure"
)

// whoManages says who may use the management API of a gateway that listens.
func (g *gateway) whoManages() string {
	who := g.config().Exposure()
	if g.config().AdminListen != "" {
		who.AdminListen = addressOf(g.management)
	}
	if path, unix := strings.CutPrefix(who.AdminListen, "unix:"); unix {
		if info, err := os.Stat(path); err == nil { // another user's folder, perhaps
			who.SocketMode = info.Mode()
		}
	}
	return who.Manage()
}

// sayWhoManages warns of a management API that the obvious proxy would open. Where
// Olares starts the gateway that is the contract, and its proxies can be told.
func (g *gateway) sayWhoManages() {
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
