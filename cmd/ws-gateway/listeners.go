package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/internal/address"
)

// binding is an address to listen at, and the option that names it.
type binding struct {
	option, addr string
	inherited    bool // systemd has passed the listener
}

// bindings are the addresses of this configuration.
func (c *config) bindings() []binding {
	all := []binding{{"listen", c.Listen, len(c.inherited.clients) > 0}}
	if c.AdminListen != "" {
		all = append(all, binding{"admin-listen", c.AdminListen, c.inherited.admin != nil})
	}
	if c.MetricsListen != "" {
		all = append(all, binding{"metrics-listen", c.MetricsListen, c.inherited.metrics != nil})
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

// addressFindings binds what the gateway would, all of it at once, and lets go of
// it.
func addressFindings(c *config) (found []finding) {
	bound := map[string]string{} // address by option
	for _, b := range c.bindings() {
		if b.inherited || c.Doubted(b.option) {
			continue
		}
		ln, err := admin.Listen(b.addr)
		if err != nil {
			found = append(found, finding{b.option, stateFail, takenByUs(b, bound, err).Error(), ""})
			continue
		}
		defer ln.Close()
		bound[b.option] = ln.Addr().String()
		found = append(found, finding{b.option, stateOK, b.addr + " is free", ""})
	}
	return found
}

// takenByUs is the error about an address that cannot be bound, which may be because
// another of our listeners has it, under another name.
func takenByUs(b binding, bound map[string]string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listenError(b.option, b.addr, err)
	}
	addr := b.addr
	if tcp, err := net.ResolveTCPAddr("tcp", addr); err == nil {
		addr = tcp.String()
	}
	for option, taken := range bound {
		if address.Clash(addr, taken) {
			return fmt.Errorf("address %s is that of --%s as well; choose another with --%s", b.addr, option, b.option)
		}
	}
	return listenError(b.option, b.addr, err)
}

// listenError says what to do about an address that cannot be bound.
func listenError(option, addr string, err error) error {
	path, unix := strings.CutPrefix(addr, "unix:")
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is taken by another process; choose another with --%s or stop it", addr, option)
	case errors.Is(err, syscall.EACCES) && unix:
		return fmt.Errorf("address %s: no permission to make the socket there; choose another with --%s", addr, option)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("address %s: no permission, ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with --%s", addr, option)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not an address of this machine; choose another with --%s", addr, option)
	case unix && errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("address %s: the folder %s is not there; make it, or choose another with --%s", addr, folder, option)
	case unix && errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("address %s: %s is no folder; choose another with --%s", addr, folder, option)
	case unix && errors.Is(err, syscall.EROFS):
		return fmt.Errorf("address %s: %s is on a disk that is read-only; choose another with --%s", addr, folder, option)
	}
	return fmt.Errorf("cannot listen on %s (%w); choose another with --%s", addr, err, option)
}
