package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/address"
)

// settleDemo changes what a demo has differently from its defaults, and warns of what
// does not count with it.
func (c *Config) settleDemo() {
	if c.From("listen") == "default" && strings.HasPrefix(c.Listen, ":") { // a reload settles twice
		c.Listen = "127.0.0.1" + c.Listen // the chat is nobody else's business
	}
	for _, option := range []string{"callback-url", "manifest"} {
		if from := c.From(option); from != "default" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("--%s (from %s) does not count: the demo has an app of its own", option, from))
		}
	}
}

// HealthAddress is what --url says, or where a gateway of this configuration answers:
// management has an address of its own, or shares that of the clients. at is a URL or
// unix:/path, and path is to be asked there.
func (c *Config) HealthAddress() (at, path string) {
	if c.Health.URL != "" {
		return c.Health.URL, ""
	}
	path = "/healthz"
	if c.Health.Ready {
		path = "/readyz"
	}
	addr := c.Listen
	if c.AdminListen != "" {
		addr = c.AdminListen
	}
	if strings.HasPrefix(addr, "unix:") {
		return addr, path
	}
	return address.URL(addr), path
}

// check refuses what cannot be asked: that the gateway is not well is another
// exit code.
func (o *HealthOptions) check() error {
	if o.URL == "" {
		return nil
	}
	where, err := url.Parse(o.URL)
	if err != nil || where.Scheme != "http" && where.Scheme != "https" || where.Hostname() == "" || !address.IsPort(where.Port()) {
		return errors.New("--url: must be a URL such as http://127.0.0.1:40010/healthz; where management is at a socket, --admin-listen unix:/path says so")
	}
	return nil
}
