package main

import (
	"errors"
	"net/url"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/address"
)

// healthAddress is what --url says, or where a gateway of this configuration answers:
// management has an address of its own, or shares that of the clients. at is a URL or
// unix:/path, and path is to be asked there.
func (c *config) healthAddress() (at, path string) {
	if c.asking.URL != "" {
		return c.asking.URL, ""
	}
	path = "/healthz"
	if c.asking.Ready {
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
func (o *healthOptions) check() error {
	if o.URL == "" {
		return nil
	}
	where, err := url.Parse(o.URL)
	if err != nil || where.Scheme != "http" && where.Scheme != "https" || where.Hostname() == "" || !address.IsPort(where.Port()) {
		return errors.New("--url: must be a URL such as http://127.0.0.1:40010/healthz; where management is at a socket, --admin-listen unix:/path says so")
	}
	return nil
}
