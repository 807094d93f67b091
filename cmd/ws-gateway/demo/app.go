package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/api"
)

// callbackPath is where the app takes events.
const callbackPath = "/websocket/message"

// apiTimeout bounds each call of the gateway's API.
const apiTimeout = 5 * time.Second

// app is the chat, with its page, while it is served.
type app struct {
	gateway place
	api     *api.Client
	feed    *feed
	lines   lines
	log     zerolog.Logger

	// With several instances.
	self      *instance
	instances *instances    // nil: this gateway is alone
	returned  atomic.Uint32 // how often a client came back

	// Set by serve.
	addr   net.Addr
	server *http.Server
	served chan error // has the result of server.Serve
}

func newApp(gateway place, log zerolog.Logger) (*app, error) {
	client, err := api.New(gateway.api, gateway.token, apiTimeout)
	if err != nil {
		return nil, err
	}
	return &app{gateway: gateway, api: client, feed: newFeed(), lines: lines{all: map[string]*line{}}, log: log}, nil
}

// serve starts to serve; end is due.
func (a *app) serve(listener net.Listener) {
	a.addr, a.served = listener.Addr(), make(chan error, 1)
	a.server = &http.Server{Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quietly(a.log)}
	a.server.RegisterOnShutdown(a.feed.end)
	go func() { a.served <- a.server.Serve(listener) }()
}

// end ends the app, after the gateway: by then the app has taken the last events.
func (a *app) end() error {
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

// greet writes to out what can be done with the demo. If nobody reads, it stops waiting
// after a second.
func greet(out io.Writer, welcome string) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		fmt.Fprint(out, welcome)
	}()
	select {
	case <-written:
	case <-time.After(time.Second): // the goroutine ends with the process
	}
}

// welcome says what can be done with the demo.
func (a *app) welcome() string {
	g := a.gateway
	curl, at := g.curl()
	return fmt.Sprintf(`
  Open %s in two tabs and let them talk.

  clients connect to   ws://%s%s   (the page goes through the app, as through an ingress)
  events are sent to   %s

  Say something to everybody:
    %s-d '{"all":true,"payload":{"event":"chat","data":{"from":"curl","text":"hello"}}}' %s/tapr/ws/conn/send

  See who is online:
    %s%s/tapr/ws/conn/list

  Ctrl-C ends it.

`, a.page(), g.clients, g.path, g.callback, curl, at, curl, at)
}

// page is where a browser finds the app.
func (a *app) page() string {
	if tcp, ok := a.addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + a.addr.String()
}

// curl is how curl calls the gateway's API: its arguments, and where it is.
func (g *place) curl() (curl, at string) {
	curl, at = "curl ", g.api
	if g.token != "" {
		curl += `-H "Authorization: Bearer $TOKEN" `
	}
	if socket, unix := strings.CutPrefix(at, "unix:"); unix {
		curl += "--unix-socket " + socket + " "
		at = "http://localhost"
	}
	return curl, at
}
