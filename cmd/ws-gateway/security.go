package main

import (
	"os"
	"path/filepath"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/exposure"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/hub"
)

// exposure is what of the configuration decides who can reach what.
func (c *config) exposure() *exposure.Config {
	anyOrigin, null := hub.PagesAllowed(c.AllowedOrigins)
	return &exposure.Config{
		Listen:        c.Listen,
		AdminListen:   c.AdminListen,
		MetricsListen: c.MetricsListen,
		Path:          c.Path,
		Token:         c.token != "",
		TokenLength:   len(c.token),
		EnoughToken:   enoughToken,
		AnyOrigin:     anyOrigin,
		NullOrigin:    null,
		UserHeader:    c.UserHeader,
		Authorize:     c.CallbackOpen == "authorize",
		Profiles:      c.Profiles,
	}
}

// securityFindings are those of check about who can reach what, and who can read
// what is secret.
func (c *config) securityFindings() []finding.Finding {
	return append(c.exposure().Judge(), exposure.JudgeFiles(c.secretFiles())...)
}

// secretFiles are the files that others should not read.
func (c *config) secretFiles() (files []exposure.File) {
	add := func(option, path, holds string) {
		if path != "" {
			files = append(files, exposure.File{Option: option, Path: path, Holds: holds})
		}
	}
	add("admin-token-file", c.AdminTokenFile, "the admin token")
	add("callback-secret-file", c.CallbackSecretFile, "the secrets of signatures")
	add("callback-key", c.CallbackKey, "a private key")
	if c.CallbackKey == "" {
		add("callback-cert", c.CallbackCert, "a private key")
	}
	if secrets := c.secretsInFile(); secrets != "" {
		add("config", c.file, secrets)
	}
	add("dead-letter", c.DeadLetter, "payloads and cookies")
	add("journal", c.Journal, "user names and cookies")
	return files
}

// secretsInFile names the secret options that the file of --config sets.
func (c *config) secretsInFile() string {
	var names []string
	for _, v := range c.Values {
		if v.Secret() && strings.HasPrefix(string(c.From(v.Name)), filepath.Base(c.file)+" line ") {
			names = append(names, v.Name)
		}
	}
	return strings.Join(names, " and ")
}

// whoManages says who may use the management API of a gateway that listens.
func (g *gateway) whoManages() string {
	who := g.config().exposure()
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
	who := g.config().exposure()
	if !who.Open() {
		return
	}
	e := g.log.Info()
	if exposure.Beyond(g.config().Listen) && !g.config().ofOlares() {
		e = g.log.Warn()
	}
	e.Str("fix", who.OpenFix()).Msg("management: " + who.Manage() + ": " + exposure.OpenMessage)
}

// ofOlares reports whether the callback URL was given as Olares gives it.
func (c *config) ofOlares() bool { return c.callback != "" && c.CallbackURL == "" }
