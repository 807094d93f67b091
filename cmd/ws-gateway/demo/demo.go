// Package demo is the app of ws-gateway demo: a chat in a page, and an example of what an
// app has to do. It handles three kinds of events (handleEvent) and calls the gateway's
// API to send, to list and to close; the rest serves the page and shows it the callbacks.
//
//	page ──▶ ingress ──▶ gateway ──▶ handleEvent ──▶ the gateway's API ──▶ page
//
// It may import api.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/api"
)

// CallbackPath is where the app takes events.
const CallbackPath = "/websocket/message"

// CallbackURL is where an app that listens at addr takes events.
func CallbackURL(addr net.Addr) string { return "http://" + addr.String() + CallbackPath }

// Gateway is what the app has to know about its gateway.
type Gateway struct {
	Clients    string // host:port at which clients connect
	Path       string
	UserHeader string
	API        string // where the management API is: a URL, or unix:/path
	Token      string // "" for none
}

// App is the app, while it is served.
type App struct {
	gateway Gateway
	addr    net.Addr
	api     *api.Client
	feed    *feed
	log     zerolog.Logger
	server  *http.Server
	served  chan error // has the result of server.Serve
}

// apiTimeout bounds each call of the gateway's API.
const apiTimeout = 5 * time.Second

// Serve starts an app for gateway, which listens already. End is due.
func Serve(listener net.Listener, gateway Gateway, log zerolog.Logger) (*App, error) {
	a, err := newApp(gateway, log)
	if err != nil {
		return nil, err
	}
	a.addr = listener.Addr()
	a.server = &http.Server{Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietly(log)}
	a.server.RegisterOnShutdown(a.feed.end)
	a.served = make(chan error, 1)
	go func() { a.served <- a.server.Serve(listener) }()
	return a, nil
}

func newApp(gateway Gateway, log zerolog.Logger) (*App, error) {
	client, err := api.New(gateway.API, gateway.Token, apiTimeout)
	if err != nil {
		return nil, err
	}
	return &App{gateway: gateway, api: client, feed: newFeed(), log: log}, nil
}

// End ends the app. It is due after the end of the gateway: then the app has taken the
// last events.
func (a *App) End() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		a.server.Close()
	}
	a.api.CloseIdle()
	if err := <-a.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo app: %w", err)
	}
	return nil
}

// Welcome writes to out what can be done with the demo. It waits a second at most for
// whoever reads that.
func (a *App) Welcome(out io.Writer) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		fmt.Fprint(out, a.welcome())
	}()
	select {
	case <-written:
	case <-time.After(time.Second): // the goroutine ends with the process
	}
}

// welcome says what can be done with the demo.
func (a *App) welcome() string {
	g, at := a.gateway, a.gateway.API
	curl := "curl "
	if g.Token != "" {
		curl += `-H "Authorization: Bearer $TOKEN" `
	}
	if socket, unix := strings.CutPrefix(at, "unix:"); unix {
		curl += "--unix-socket " + socket + " "
		at = "http://localhost"
	}
	page := "http://" + a.addr.String()
	if tcp, ok := a.addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
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

`, page, g.Clients, g.Path, CallbackURL(a.addr), curl, at, curl, at)
}
