package config

import (
	"path/filepath"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/exposure"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/hub"
)

// Exposure is the part of the configuration that decides who can reach what.
func (c *Config) Exposure() *exposure.Config {
	anyOrigin, null := hub.PagesAllowed(c.AllowedOrigins)
	return &exposure.Config{
		Listen:        c.Listen,
		AdminListen:   c.AdminListen,
		MetricsListen: c.MetricsListen,
		Path:          c.Path,
		Token:         c.Token != "",
		TokenLength:   len(c.Token),
		EnoughToken:   enoughToken,
		AnyOrigin:     anyOrigin,
		NullOrigin:    null,
		UserHeader:    c.UserHeader,
		Authorize:     c.CallbackOpen == "authorize",
		Profiles:      c.Profiles,
	}
}

// JudgeSecurity looks at who can reach the gateway, and who can read its secrets.
func (c *Config) JudgeSecurity() []finding.Finding {
	return append(c.Exposure().Judge(), exposure.JudgeFiles(c.secretFiles())...)
}

// secretFiles returns the files that other users should not read.
func (c *Config) secretFiles() (files []exposure.File) {
	add := func(option, path, holds string) {
		if path != "" {
			files = append(files, exposure.File{Option: option, Path: path, Holds: holds})
		}
	}
	add("admin-token-file", c.AdminTokenFile, "the admin token")
	add("callback-secret-file", c.CallbackSecretFile, "the secrets of signatures")
	add("callback-key", c.CallbackKey, "a private key")
	add("cluster-creds", c.ClusterCreds, "a key for NATS")
	add("cluster-nkey", c.ClusterNKey, "a key for NATS")
	add("cluster-token-file", c.ClusterTokenFile, "a token for NATS")
	add("cluster-key", c.ClusterKey, "a private key")
	if c.CallbackKey == "" {
		add("callback-cert", c.CallbackCert, "a private key")
	}
	if secrets := c.secretsInFile(); secrets != "" {
		add("config", c.file, secrets)
	}
	add("dead-letter", c.DeadLetter, "payloads and cookies")
	add("journal", c.Journal, "user names and cookies")
	add("resume-state", c.ResumeState, "keys of sessions, messages and cookies")
	return files
}

// secretsInFile names the secret options that the file of --config sets.
func (c *Config) secretsInFile() string {
	var names []string
	for _, v := range c.Values {
		if v.Secret() && strings.HasPrefix(string(c.From(v.Name)), filepath.Base(c.file)+" line ") {
			names = append(names, v.Name)
		}
	}
	return strings.Join(names, " and ")
}
