// Package sink is the app of a benchmark, which takes the gateway's callbacks. An
// App answers each message with a call of the send API, or in the callback's
// answer, as fast as a plain HTTP server and client can. A Counter only takes
// them, as cheaply as can be, and finds out whether all came, each once and in
// order. They run as processes of their own, so that their cost is not mistaken
// for the gateway's. A Poster is not an app: it stands in for the gateway.
package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"
)

// Paths that an App serves.
const (
	CallbackPath = "/callback" // for the gateway
	GatewayPath  = "/gateway"  // PUT host:port: where to send replies
	StatsPath    = "/stats"    // GET: Stats as JSON
)

// Stats count what an App has done. Failed are callbacks that it did not
// understand and sends that the gateway did not accept; Failure is the first.
type Stats struct {
	Open    uint64 `json:"open"`
	Message uint64 `json:"message"`
	Close   uint64 `json:"close"`
	Sent    uint64 `json:"sent"`
	Failed  uint64 `json:"failed"`
	Failure string `json:"failure,omitempty"`

	Requests uint64 `json:"requests,omitempty"` // callbacks that a Counter has answered
	Bytes    uint64 `json:"bytes,omitempty"`    // of these, heads included

	Groups map[string]Group `json:"groups,omitempty"` // of an App that audits
}

// App is the app. Each callback is handled on its connection's goroutine: the
// message's data goes back to its connection before the callback is answered, or
// with the answer.
type App struct {
	audit   *audit // nil: none
	answers bool   // messages are answered in the callback's answer
	mute    string // the beginning of users' names whose messages are not answered; "" is nobody's
	hang    time.Duration
	server  fasthttp.Server
	gateway atomic.Pointer[fasthttp.HostClient]

	open, message, closed, sent, failed atomic.Uint64

	mu      sync.Mutex
	failure string // guarded by mu: the first
}

const (
	mostCallbacks = 4096 // callbacks handled at one time, more than any gateway has in flight
	sendTimeout   = 10 * time.Second
)

// Config of an App. The zero value answers everybody.
type Config struct {
	Mute  string        // users whose names begin with this get no replies; "" is nobody
	Hang  time.Duration // how long the callbacks of their messages take
	Audit bool          // hold each connection's events against the contract; costs a lock for each event
	Reply bool          // answer in the callback's answer, not through the send API
}

// New returns an App that does not serve yet.
func New(cfg Config) *App {
	a := &App{mute: cfg.Mute, hang: cfg.Hang, answers: cfg.Reply}
	if cfg.Audit {
		a.audit = newAudit()
	}
	a.server = fasthttp.Server{
		Handler: a.handle, Name: "sink", Concurrency: mostCallbacks, MaxRequestBodySize: 64 << 20,
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	return a
}

// Serve handles requests until Shutdown.
func (a *App) Serve(l net.Listener) error { return a.server.Serve(l) }

// Shutdown ends Serve and returns when its goroutines are gone.
func (a *App) Shutdown() error {
	err := a.server.Shutdown()
	if c := a.gateway.Load(); c != nil {
		c.CloseIdleConnections()
	}
	return err
}

// SetGateway says where replies are sent: host:port of the management API.
func (a *App) SetGateway(addr string) {
	a.gateway.Store(&fasthttp.HostClient{
		Addr: addr, MaxConns: mostCallbacks, ReadTimeout: sendTimeout, WriteTimeout: sendTimeout,
		MaxIdleConnDuration: time.Minute, NoDefaultUserAgentHeader: true,
	})
}

func (a *App) handle(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case CallbackPath:
		a.callback(ctx)
	case GatewayPath:
		a.SetGateway(string(ctx.PostBody()))
	case StatsPath:
		body, _ := json.Marshal(a.Stats()) // numbers and strings
		ctx.SetBody(body)
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// callback never answers with an error: the gateway would try again, and the
// message would be counted twice.
func (a *App) callback(ctx *fasthttp.RequestCtx) {
	var action, conn, user, data string
	gjson.ParseBytes(ctx.PostBody()).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "action":
			action = value.Str
		case "conn_id":
			conn = value.Str
		case "user_name":
			user = value.Str
		case "data":
			data = value.Raw
		}
		return true
	})
	if a.audit != nil {
		a.audit.event(action, conn, user, string(ctx.Request.Header.Peek("X-Request-Id")), string(ctx.Request.Header.Peek("X-Attempt")))
	}
	switch {
	case action == "open":
		a.open.Add(1)
	case action == "close":
		a.closed.Add(1)
	case action == "message" && conn != "" && data != "":
		a.message.Add(1)
		if a.mute != "" && strings.HasPrefix(user, a.mute) {
			time.Sleep(a.hang) //nolint:forbidigo // an app that hangs on purpose
			return
		}
		if a.answers {
			ctx.SetContentType("application/json")
			ctx.SetBodyString(data)
		} else if err := a.reply(conn, data); err != nil {
			a.fail(err)
			return
		}
		a.sent.Add(1)
	default:
		a.fail(fmt.Errorf("a callback of %d bytes with action %q", len(ctx.PostBody()), action))
	}
}

var (
	errNoGateway = errors.New("a message came before the gateway's address")
	success      = []byte(`{"code":0,`)
)

// reply sends data, which is JSON, to a connection.
func (a *App) reply(conn, data string) error {
	client := a.gateway.Load()
	if client == nil {
		return errNoGateway
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.SetHost(client.Addr)
	req.SetRequestURI("/tapr/ws/conn/send")
	req.AppendBodyString(`{"payload":`)
	req.AppendBodyString(data)
	req.AppendBodyString(`,"conn_id":"`)
	req.AppendBodyString(conn)
	req.AppendBodyString(`"}`)
	if err := client.Do(req, resp); err != nil {
		return fmt.Errorf("calling the send API: %w", err)
	}
	if resp.StatusCode() != fasthttp.StatusOK || !bytes.HasPrefix(resp.Body(), success) {
		return fmt.Errorf("the send API answered %d %.200q", resp.StatusCode(), resp.Body())
	}
	return nil
}

func (a *App) fail(err error) {
	a.failed.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure == "" {
		a.failure = err.Error()
	}
}

// Stats returns the counts so far.
func (a *App) Stats() Stats {
	a.mu.Lock()
	failure := a.failure
	a.mu.Unlock()
	s := Stats{
		Open: a.open.Load(), Message: a.message.Load(), Close: a.closed.Load(),
		Sent: a.sent.Load(), Failed: a.failed.Load(), Failure: failure,
	}
	if a.audit != nil {
		s.Groups = a.audit.snapshot()
	}
	return s
}
