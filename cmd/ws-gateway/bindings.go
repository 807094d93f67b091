package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
)

// binding is an address to listen at, and the option that names it.
type binding struct {
	option, addr string
	inherited    bool // systemd has passed the listener
}

// bindings are the addresses of this configuration.
func (c *config) bindings() []binding {
	all := []binding{{"listen", c.Listen, len(c.inherited.Clients) > 0}}
	if c.AdminListen != "" {
		all = append(all, binding{"admin-listen", c.AdminListen, c.inherited.Admin != nil})
	}
	if c.MetricsListen != "" {
		all = append(all, binding{"metrics-listen", c.MetricsListen, c.inherited.Metrics != nil})
	}
	if c.demo {
		all = append(all, binding{"app-listen", c.AppListen, false})
	}
	return all
}

// checkBindings checks each address, and that each option has one of its own. With
// sockets from systemd options may not count.
func (c *config) checkBindings(fromSystemd bool) error {
	var errs []error
	all := c.bindings()
	for i, b := range all {
		errs = append(errs, c.checkBinding(b))
		for _, other := range all[:i] {
			if c.Certain(b.option, other.option) && !fromSystemd && address.Clash(other.addr, b.addr) {
				wrong, right := b, other
				if c.From(b.option) == "default" {
					wrong, right = other, b
				}
				errs = append(errs, c.Reject(wrong.option, fmt.Sprintf("another address than that of --%s, which is %s", right.option, right.addr)))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *config) checkBinding(b binding) error {
	const want = "an address such as :40010, 127.0.0.1:40010 or [::1]:40010, with a port from 0 to 65535"
	path, unix := strings.CutPrefix(b.addr, "unix:")
	switch {
	case b.option == "app-listen" && !isLoopbackAddress(b.addr):
		return c.Reject(b.option, "an address of this machine alone, such as 127.0.0.1:8080")
	case unix && b.option != "listen" && path != "":
		if err := admin.CheckSocketPath(path); err != nil {
			return c.Reject(b.option, "the path of a socket that can be made: "+err.Error())
		}
	case isTCPAddress(b.addr):
	case b.option == "listen":
		return c.Reject(b.option, want)
	default:
		return c.Reject(b.option, want+", or unix:/path")
	}
	return nil
}

// takeOver makes inherited listeners what --listen, --admin-listen and --metrics-listen say, and
// returns warnings about what these said before.
func (c *config) takeOver(in systemd.Sockets) (warnings []string) {
	const systemd settings.Source = "systemd"
	c.inherited = in
	replace := func(option string, value *string, addr net.Addr) {
		address := addr.String()
		if addr.Network() == "unix" {
			address = "unix:" + address
		}
		if s, given := c.Sources[option]; given && *value != address {
			warnings = append(warnings, fmt.Sprintf("--%s %s (from %s) does not count: systemd has passed a socket for it, %s", option, *value, s, address))
		}
		*value, c.Sources[option] = address, systemd
	}
	if len(in.Clients) > 0 {
		replace("listen", &c.Listen, in.Clients[0].Addr())
	}
	if in.Admin != nil {
		replace("admin-listen", &c.AdminListen, in.Admin.Addr())
	}
	if in.Metrics != nil {
		replace("metrics-listen", &c.MetricsListen, in.Metrics.Addr())
	}
	return warnings
}
