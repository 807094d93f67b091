package gateway

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"ws-gateway/admin/listen"
)

func (g *Gateway) listen() (err error) {
	if err = g.listenForClients(); err != nil {
		return err
	}
	c := g.cfg
	if g.management, err = listenBeside("admin-listen", c.AdminListen, c.Sockets().Admin); err != nil {
		return err
	}
	if c.AdminListen == "" {
		g.management = g.sockets.HandedOff()
	}
	g.metrics, err = listenBeside("metrics-listen", c.MetricsListen, c.Sockets().Metrics)
	return err
}

// listenBeside makes the listener of an option that is not for clients; nil without an
// address.
func listenBeside(option, addr string, inherited net.Listener) (net.Listener, error) {
	if addr == "" || inherited != nil {
		return inherited, nil
	}
	ln, err := listen.On(addr)
	if err != nil {
		return nil, ListenError(option, addr, err)
	}
	return ln, nil
}

func (g *Gateway) listenForClients() (err error) {
	inherited := g.cfg.Sockets().Clients
	if len(inherited) == 0 {
		if g.address, err = g.sockets.Listen(g.cfg.Listen); err != nil {
			return ListenError("listen", g.cfg.Listen, err)
		}
		return nil
	}
	g.address = inherited[0].Addr()
	for _, ln := range inherited {
		err = errors.Join(err, g.sockets.Inherit(ln))
	}
	return err
}

// addressOf returns the address of a listener as --admin-listen writes it.
func addressOf(ln net.Listener) string {
	addr := ln.Addr()
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return addr.String()
}

// ListenError says what to do about an address that cannot be bound.
func ListenError(option, addr string, err error) error {
	path, unix := strings.CutPrefix(addr, "unix:")
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && unix:
		return fmt.Errorf("address %s is taken by another process; choose another with --%s or stop it", addr, option)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is taken by another process%s; choose another with --%s or stop it", addr, orConnection(addr), option)
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

// orConnection says what else may have the port of a TCP address that is taken.
func orConnection(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf(", or an outgoing connection has its port (ss -tanp 'sport = :%s' shows which)", port)
}

// ClientsAddr is where clients connect.
func (g *Gateway) ClientsAddr() net.Addr { return g.address }

// ManagementAddr is where the management API is, if it has an address of its own.
func (g *Gateway) ManagementAddr() net.Addr { return g.management.Addr() }
