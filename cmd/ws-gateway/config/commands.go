package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/settings"
)

// demoResumeFor is the demo's --resume-for: its page resumes.
const demoResumeFor = time.Minute

// settleDemo sets the defaults that differ for the demo, and warns of options that do not
// count with it.
func (c *Config) settleDemo() {
	if c.From("listen") == settings.FromDefault && strings.HasPrefix(c.Listen, ":") { // a reload may call this twice
		c.Listen = "127.0.0.1" + c.Listen // the demo is for this host alone
	}
	if c.From("resume-for") == settings.FromDefault {
		c.ResumeFor = demoResumeFor
	}
	for _, option := range []string{"callback-url", "manifest"} {
		if from := c.From(option); from != settings.FromDefault {
			c.Warnings = append(c.Warnings, fmt.Sprintf("--%s (from %s) does not count: the demo has an app of its own", option, from))
		}
	}
}

// HealthAddress is what health asks: --url or, without it, the management API of a
// gateway with this configuration. at is a URL or unix:/path, and path is added to it.
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

// check refuses a URL that cannot be asked. It is a mistake in the command line, which
// has another exit code than a gateway that is not healthy.
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
