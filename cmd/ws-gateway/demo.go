package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/program"
)

// runDemo is the life of a gateway with the demo's app beside it, each talking to
// the other over the loopback interface, as they would in a pod.
func runDemo(p *program.Process, cfg *config, log zerolog.Logger) error {
	p.CatchStops()
	appListener, err := net.Listen("tcp", cfg.AppListen)
	if err != nil {
		return listenError("app-listen", cfg.AppListen, err)
	}
	defer appListener.Close()
	cfg.beDemo("http://" + appListener.Addr().String() + callbackPath)
	g, err := newGateway(cfg, log, p.LogLost)
	if err != nil {
		return err
	}
	g.level = p.Level
	app := newDemoApp(demoGateway(g), log)
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietly(log)}
	server.RegisterOnShutdown(app.feed.end)
	served := make(chan error, 1)
	go func() { served <- server.Serve(appListener) }()

	if err = g.start(); err == nil {
		log.Info().Stringer("app", appListener.Addr()).Msg("demo")
		say(p.Stdout, welcome(g, appListener.Addr()))
		err = g.untilSignal(p)
	} else {
		g.shutdown(time.Now())
	}
	return errors.Join(err, endDemo(server, served))
}

// say writes to out, and waits a moment at most for whoever reads it.
func say(out io.Writer, text string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprint(out, text)
	}()
	select {
	case <-said:
	case <-time.After(time.Second): // the process is the goroutine's owner
	}
}

// beDemo makes c the configuration of a demo whose app takes its events there.
func (c *config) beDemo(callback string) { c.callback = callback }

// settleDemo changes what a demo has differently from its defaults, and warns of what
// does not count with it.
func (c *config) settleDemo() {
	if c.From("listen") == "default" && strings.HasPrefix(c.Listen, ":") { // a reload settles twice
		c.Listen = "127.0.0.1" + c.Listen // the chat is nobody else's business
	}
	for _, option := range []string{"callback-url", "manifest"} {
		if from := c.From(option); from != "default" {
			c.warnings = append(c.warnings, fmt.Sprintf("--%s (from %s) does not count: the demo has an app of its own", option, from))
		}
	}
}

// endDemo ends the app, after the gateway: it has taken the last events.
func endDemo(server *http.Server, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo app: %w", err)
	}
	return nil
}

// gatewayPlace is what an app has to know about its gateway.
type gatewayPlace struct {
	clients    string // host:port for clients
	path       string // at which they connect
	userHeader string
	api        string // base URL of the management API
	socket     string // path of the API's unix socket; "" for TCP
	token      string // "" for none
}

func demoGateway(g *gateway) gatewayPlace {
	place := gatewayPlace{
		clients:    dialable(g.address),
		path:       g.cfg.Path,
		userHeader: g.cfg.UserHeader,
		api:        "http://" + dialable(g.address),
		token:      g.cfg.token,
	}
	if g.cfg.AdminListen != "" {
		place.api = "http://" + dialable(g.management.Addr())
		if path, unix := strings.CutPrefix(addressOf(g.management), "unix:"); unix {
			place.api, place.socket = "http://localhost", path
		}
	}
	return place
}

// dialable is the address at which this host reaches a listener.
func dialable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

// welcome tells whoever has started the demo what to do with it.
func welcome(g *gateway, app net.Addr) string {
	place := demoGateway(g)
	curl := "curl "
	if place.token != "" {
		curl += `-H "Authorization: Bearer $TOKEN" `
	}
	if place.socket != "" {
		curl += "--unix-socket " + place.socket + " "
	}
	page := "http://" + app.String()
	if tcp, ok := app.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		page = fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return fmt.Sprintf(`
  Open %s in two tabs and let them talk.

  clients connect to   http://%s%s   (the page goes through the app, as through an ingress)
  events are sent to   %s

  Say something to everybody:
    %s-d '{"all":true,"payload":{"event":"chat","data":{"from":"curl","text":"hello"}}}' %s/tapr/ws/conn/send

  See who is online:
    %s%s/tapr/ws/conn/list

  Ctrl-C ends it.

`, page, place.clients, place.path, g.cfg.callback, curl, place.api, curl, place.api)
}

// quietly is for libraries that log what a single connection made them notice.
func quietly(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(debugWriter{log}, "", 0)
}

type debugWriter struct{ log zerolog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
