package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"ws-gateway/cmd/ws-gateway/internal/address"
)

// DemoApp is the name of the demo's app among the gateways of a cluster.
const DemoApp = "demo"

// checkInstances refuses what several gateways of one process cannot share.
func (c *Config) checkInstances() error {
	if c.Instances <= 1 {
		return nil
	}
	var errs []error
	for _, option := range []string{"admin-listen", "metrics-listen", "journal", "dead-letter", "resume-state", "cluster"} {
		if v := c.Lookup(option); !v.Target.IsZero() && c.Certain(option) {
			errs = append(errs, fmt.Errorf("--%s (from %s) cannot be used with --instances: it would be that of all of them", option, c.From(option)))
		}
	}
	for _, at := range []Binding{{Option: "listen", Addr: c.Listen}, {Option: "app-listen", Addr: c.AppListen}} {
		if portOf(at.Addr)+c.Instances-1 > 1<<16-1 && c.Certain(at.Option) {
			errs = append(errs, c.Reject(at.Option, fmt.Sprintf("an address with %d ports behind its own, for --instances", c.Instances-1)))
		}
	}
	if c.Certain("listen", "app-listen") {
		errs = append(errs, c.checkInstancePorts())
	}
	return errors.Join(errs...)
}

// checkInstancePorts refuses ports that a gateway would have and the app of another one.
func (c *Config) checkInstancePorts() error {
	for n := range c.Instances {
		for m := range c.Instances {
			if listen, app := behind(c.Listen, n), behind(c.AppListen, m); n != m && address.Clash(listen, app) {
				return c.Reject("app-listen", fmt.Sprintf("another address: --instances has %s for a gateway, too", listen))
			}
		}
	}
	return nil
}

// Instance returns the configuration of the demo's gateway number n, which counts from 0,
// and the address of its app.
func (c *Config) Instance(n int) (one *Config, app string) {
	one = new(Config)
	*one = *c
	options := *c.Options
	one.Options = &options
	one.ClusterApp, one.ClusterName = DemoApp, fmt.Sprintf("%s-%d", DemoApp, n+1)
	one.Listen = behind(c.Listen, n)
	return one, behind(c.AppListen, n)
}

// behind is an address with a port that is n above its own. Port 0 takes a free one.
func behind(addr string, n int) string {
	host, _, _ := net.SplitHostPort(addr)
	if port := portOf(addr); port > 0 {
		return net.JoinHostPort(host, strconv.Itoa(port+n))
	}
	return addr
}
