package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"ws-gateway/admin/listen"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
)

// Binding is an address to listen on, and the option that names it.
type Binding struct {
	Option, Addr string
	Inherited    bool // systemd has passed the listener
}

// Bindings returns the addresses to listen on, without those about which there is a
// mistake.
func (c *Config) Bindings() []Binding {
	return slices.DeleteFunc(c.bindings(), func(b Binding) bool { return c.Doubted(b.Option) })
}

func (c *Config) bindings() []Binding {
	all := []Binding{{"listen", c.Listen, len(c.inherited.Clients) > 0}}
	if c.AdminListen != "" {
		all = append(all, Binding{"admin-listen", c.AdminListen, c.inherited.Admin != nil})
	}
	if c.MetricsListen != "" {
		all = append(all, Binding{"metrics-listen", c.MetricsListen, c.inherited.Metrics != nil})
	}
	if c.Demo() {
		all = append(all, Binding{"app-listen", c.AppListen, false})
	}
	return all
}

// checkBindings checks each address, and that no two options have the same. If systemd
// passes sockets, the options they replace may be equal.
func (c *Config) checkBindings(fromSystemd bool) error {
	var errs []error
	all := c.bindings()
	for i, b := range all {
		errs = append(errs, c.checkBinding(b))
		for _, other := range all[:i] {
			if c.Certain(b.Option, other.Option) && !fromSystemd && address.Clash(other.Addr, b.Addr) {
				wrong, right := b, other
				if c.From(b.Option) == settings.FromDefault {
					wrong, right = other, b
				}
				errs = append(errs, c.Reject(wrong.Option, fmt.Sprintf("another address than that of --%s, which is %s", right.Option, right.Addr)))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Config) checkBinding(b Binding) error {
	const want = "an address such as :40010, 127.0.0.1:40010 or [::1]:40010, with a port from 0 to 65535"
	path, unix := strings.CutPrefix(b.Addr, "unix:")
	switch {
	case b.Option == "app-listen" && !isLoopback(b.Addr):
		return c.Reject(b.Option, "an address of this machine alone, such as 127.0.0.1:8080")
	case unix && b.Option != "listen" && path != "":
		if err := listen.CheckSocketPath(path); err != nil {
			return c.Reject(b.Option, "the path of a socket that can be made: "+err.Error())
		}
	case address.IsTCP(b.Addr):
	case b.Option == "listen":
		return c.Reject(b.Option, want)
	default:
		return c.Reject(b.Option, want+", or unix:/path")
	}
	return nil
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && address.IsTCP(addr) && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// portOf returns the port of a TCP address; 0 if it is not known yet.
func portOf(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	return port
}

// TakeOver puts listeners from systemd in the place of --listen, --admin-listen and
// --metrics-listen. It returns a warning for each option that was set and does not count.
func (c *Config) TakeOver(in systemd.Sockets) (warnings []string) {
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
