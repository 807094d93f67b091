package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/demo"
	"ws-gateway/cmd/ws-gateway/program"
)

// runDemo is the life of a gateway with the demo's app beside it, each talking to
// the other over the loopback interface, as they would in a pod.
func runDemo(p *program.Process, cfg *config.Config, log zerolog.Logger) error {
	p.CatchStops()
	listener, err := net.Listen("tcp", cfg.AppListen)
	if err != nil {
		return listenError("app-listen", cfg.AppListen, err)
	}
	defer listener.Close()
	cfg.Callback = demo.CallbackURL(listener.Addr())
	g, err := newGateway(cfg, log, p.LogLost)
	if err != nil {
		return err
	}
	g.level = p.Level
	app, err := demo.Serve(listener, demoGateway(g), log)
	if err != nil {
		g.discard()
		return err
	}
	if err = g.start(); err == nil {
		log.Info().Stringer("app", listener.Addr()).Msg("demo")
		app.Welcome(p.Stdout)
		err = g.untilSignal(p)
	} else {
		g.shutdown(time.Now())
	}
	return errors.Join(err, app.End())
}

// demoGateway is what the app has to know about g.
func demoGateway(g *gateway) demo.Gateway {
	at := "http://" + dialable(g.address)
	if g.cfg.AdminListen != "" {
		if at = addressOf(g.management); !strings.HasPrefix(at, "unix:") {
			at = "http://" + dialable(g.management.Addr())
		}
	}
	return demo.Gateway{
		Clients: dialable(g.address), Path: g.cfg.Path, UserHeader: g.cfg.UserHeader, API: at, Token: g.cfg.Token,
	}
}

// dialable is the address at which this host reaches a listener.
func dialable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}
