// Package demo is the command demo: a gateway with an app beside it. The app is a chat in a
// page, and an example of what an app has to do: it handles three kinds of events
// (handleEvent) and calls the gateway's API to send, to list, to close and to keep rooms,
// which are groups. The rest serves the page and shows it the callbacks.
//
//	page ──▶ ingress ──▶ gateway ──▶ handleEvent ──▶ the gateway's API ──▶ page
//
// The page uses the JavaScript client, and can have its own line cut (lines.go).
//
// With --instances there are several of both, which answer as one over a bus in the process
// (instances.go), and the page shows which tab is where (where.go). A tab whose line is cut comes
// back at another one, which carries it to its session.
//
// It may import gateway, config, program, api and client; of the cluster the bus in the process, of
// hub what says whose id it is, and of netpoll/wire what a client offers that comes back.
package demo

import (
	"errors"
	"fmt"
	"net"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/program"
)

// Run runs a gateway with the app beside it until it is stopped. Each talks to the other
// over the loopback interface, as they would in a pod.
func Run(p *program.Process, c *config.Config, log zerolog.Logger) error {
	p.CatchStops()
	if c.Instances > 1 {
		return runInstances(p, c, log)
	}
	listener, err := net.Listen("tcp", c.AppListen)
	if err != nil {
		return gateway.ListenError("app-listen", c.AppListen, err)
	}
	defer listener.Close()
	c.Callback = "http://" + listener.Addr().String() + callbackPath
	g, err := gateway.New(p, c, log)
	if err != nil {
		return err
	}
	app, err := newApp(placeOf(c, g), log)
	if err != nil {
		g.Discard()
		return err
	}
	app.serve(listener)
	err = g.Serve(func() {
		log.Info().Stringer("app", listener.Addr()).Msg("demo")
		greet(p.Stdout, app.welcome())
	})
	return errors.Join(err, app.end())
}

// place is what the app has to know about its gateway.
type place struct {
	clients    string // host:port at which clients connect
	path       string
	userHeader string
	api        string // where the management API is: a URL, or unix:/path
	token      string // "" for none
	callback   string // where events are sent
}

func placeOf(c *config.Config, g *gateway.Gateway) place {
	at := "http://" + dialable(g.ClientsAddr())
	if c.AdminListen != "" {
		addr := g.ManagementAddr()
		if at = "http://" + dialable(addr); addr.Network() == "unix" {
			at = "unix:" + addr.String()
		}
	}
	return place{dialable(g.ClientsAddr()), c.Path, c.UserHeader, at, c.Token, c.Callback}
}

// dialable is the address at which this host reaches a listener.
func dialable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}
