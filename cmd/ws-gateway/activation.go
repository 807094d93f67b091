package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ws-gateway/cmd/ws-gateway/settings"
)

// inherited is the listeners that systemd has bound (socket activation), so that
// no client finds the port shut while the gateway starts anew.
type inherited struct {
	clients []*net.TCPListener
	admin   net.Listener // nil: none
	metrics net.Listener // nil: none
}

// inherit makes listeners of what systemd has passed. FileDescriptorName= of the
// socket unit says what a socket is for; without one it is for clients. The files
// are closed.
func inherit(files []*os.File) (in inherited, err error) {
	for _, f := range files {
		err = errors.Join(err, in.take(f), f.Close())
	}
	return in, err
}

func (in *inherited) take(f *os.File) error {
	name := f.Name()
	ln, err := listenerOf(f)
	if err != nil {
		return fmt.Errorf("socket %q from systemd: %w", name, err)
	}
	switch {
	case name == "admin" && in.admin == nil:
		in.admin = ln
	case name == "metrics" && in.metrics == nil:
		in.metrics = ln
	case name == "admin", name == "metrics":
		return fmt.Errorf("systemd has passed two sockets with FileDescriptorName=%s: there can be one", name)
	case name == "clients", isUnnamed(name):
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			return fmt.Errorf("socket %q from systemd: clients need a TCP socket, this one is %s; for the management API give it FileDescriptorName=admin", name, ln.Addr().Network())
		}
		in.clients = append(in.clients, tcp)
	default:
		return fmt.Errorf("socket %q from systemd: FileDescriptorName must be clients, admin or metrics", name)
	}
	return nil
}

// isUnnamed reports whether a name is what a socket has without
// FileDescriptorName: its unit's, or none.
func isUnnamed(name string) bool {
	return strings.HasSuffix(name, ".socket") || strings.HasPrefix(name, "LISTEN_FD_") || name == "unknown"
}

var errNotListening = errors.New("it does not listen: it must be a stream socket, with Accept=no")

func listenerOf(f *os.File) (net.Listener, error) {
	if listening, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return nil, errors.Join(errNotListening, err)
	}
	return net.FileListener(f)
}

// takeOver makes inherited listeners what --listen, --admin-listen and --metrics-listen say, and
// returns warnings about what these said before.
func (c *config) takeOver(in inherited) (warnings []string) {
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
	if len(in.clients) > 0 {
		replace("listen", &c.Listen, in.clients[0].Addr())
	}
	if in.admin != nil {
		replace("admin-listen", &c.AdminListen, in.admin.Addr())
	}
	if in.metrics != nil {
		replace("metrics-listen", &c.MetricsListen, in.metrics.Addr())
	}
	return warnings
}
