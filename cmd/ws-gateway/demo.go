package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/demo"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/program"
)

// runDemo is the life of a gateway with the demo's app beside it, each talking to
// the other over the loopback interface, as they would in a pod.
func runDemo(p *program.Process, cfg *config.Config, log zerolog.Logger) error {
	p.CatchStops()
	listener, err := net.Listen("tcp", cfg.AppListen)
	if err != nil {
		return gateway.ListenError("app-listen", cfg.AppListen, err)
	}
	defer listener.Close()
	cfg.Callback = demo.CallbackURL(listener.Addr())
	g, err := gateway.New(p, cfg, log)
	if err != nil {
		return err
	}
	app, err := demo.Serve(listener, demoGateway(cfg, g), log)
	if err != nil {
		g.Discard()
		return err
	}
	err = g.Serve(func() {
		log.Info().Stringer("app", listener.Addr()).Msg("demo")
		app.Welcome(p.Stdout)
	})
	return errors.Join(err, app.End())
}

// demoGateway is what the app has to know about g.
func demoGateway(c *config.Config, g *gateway.Gateway) demo.Gateway {
	at := "http://" + dialable(g.ClientsAddr())
	if c.AdminListen != "" {
		addr := g.ManagementAddr()
		if at = "http://" + dialable(addr); addr.Network() == "unix" {
			at = "unix:" + addr.String()
		}
	}
	return demo.Gateway{Clients: dialable(g.ClientsAddr()), Path: c.Path, UserHeader: c.UserHeader, API: at, Token: c.Token}
}

// dialable is the address at which this host reaches a listener.
func dialable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}
