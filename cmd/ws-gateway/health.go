package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/program"
)

// healthTimeout is less than orchestrators wait.
const healthTimeout = 2 * time.Second

// health asks a running gateway how it is, for health checks of containers that
// have nothing but this binary in them.
func health(p *program.Process, cfg *config) error {
	target, socket := healthURL(cfg)
	var dialer net.Dialer
	transport := &http.Transport{DisableKeepAlives: true}
	if socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	client := http.Client{Transport: transport, Timeout: healthTimeout}
	response, err := client.Get(target)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 200)) // the status decides
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s answers %s: %s", target, response.Status, strings.TrimSpace(string(said)))
	}
	fmt.Fprintln(p.Stdout, strings.TrimSpace(string(said)))
	return nil
}

// healthURL is what --url says, or where a gateway of this configuration answers:
// management has an address of its own, or shares that of the clients.
func healthURL(c *config) (target, socket string) {
	if c.asking.URL != "" {
		return c.asking.URL, ""
	}
	path := "/healthz"
	if c.asking.Ready {
		path = "/readyz"
	}
	addr := c.Listen
	if c.AdminListen != "" {
		addr = c.AdminListen
	}
	if socket, unix := strings.CutPrefix(addr, "unix:"); unix {
		return "http://localhost" + path, socket
	}
	return managementURL(addr) + path, ""
}

// check refuses what cannot be asked: that the gateway is not well is another
// exit code.
func (o *healthOptions) check() error {
	if o.URL == "" {
		return nil
	}
	where, err := url.Parse(o.URL)
	if err != nil || where.Scheme != "http" && where.Scheme != "https" || where.Hostname() == "" || !isPort(where.Port()) {
		return errors.New("--url: must be a URL such as http://127.0.0.1:40010/healthz; where management is at a socket, --admin-listen unix:/path says so")
	}
	return nil
}

// managementURL is how a process of this host reaches who listens at addr.
func managementURL(addr string) string {
	host, port, _ := net.SplitHostPort(addr) // has been checked
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1" // not localhost: an empty container need not know it
	case ip.IsUnspecified():
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
