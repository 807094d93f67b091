package main

import (
	"context"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"
)

//go:embed demo
var demoFiles embed.FS

// callbackPath is where the app takes events: the URL that the gateway is given.
const callbackPath = "/websocket/message"

// demoApp is a chat, and an example of what an app has to do: handle three kinds
// of events (handleEvent) and make three kinds of calls (gatewayAPI). The rest
// serves the page and lets it watch.
type demoApp struct {
	gateway gatewayPlace
	api     *gatewayAPI
	feed    *feed
	log     zerolog.Logger
}

func newDemoApp(gateway gatewayPlace, log zerolog.Logger) *demoApp {
	return &demoApp{gateway, newGatewayAPI(gateway), newFeed(), log}
}

func (a *demoApp) handler() http.Handler {
	page, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+callbackPath, a.handleEvent)
	mux.Handle("GET /ws", a.ingress())
	mux.Handle("GET /events", a.feed)
	mux.HandleFunc("GET /online", a.handleOnline)
	mux.HandleFunc("POST /close", a.handleClose)
	mux.Handle("GET /", http.FileServerFS(page))
	return http.NewCrossOriginProtection().Handler(withPolicy(mux))
}

// withPolicy lets the page load nothing from elsewhere.
func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// event is what the gateway POSTs.
type event struct {
	Action   string          `json:"action"`
	UserName string          `json:"user_name"`
	ConnID   string          `json:"conn_id"`
	Data     json.RawMessage `json:"data"`
}

// message is what the page and the app send each other.
type message struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// handleEvent takes one event. It answers 204 once it has done what it can: any
// other status would have the gateway send the event again.
func (a *demoApp) handleEvent(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	var e event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.feed.publish(feedEntry{
		Time:      time.Now().UnixMilli(),
		RequestID: r.Header.Get("X-Request-Id"),
		Attempt:   r.Header.Get("X-Attempt"),
		Body:      body,
	})
	if err := a.act(r.Context(), e); err != nil {
		a.log.Warn().Err(err).Str("action", e.Action).Str("conn_id", e.ConnID).Msg("demo app: the gateway's API")
	}
	w.WriteHeader(http.StatusNoContent)
}

// act is the chat itself.
func (a *demoApp) act(ctx context.Context, e event) error {
	switch e.Action {
	case "open":
		welcome := message{"welcome", map[string]string{"user": e.UserName, "conn_id": e.ConnID}}
		if err := a.api.send(ctx, sendCommand{ConnID: e.ConnID, Payload: welcome}); err != nil {
			return err
		}
		return a.tellOnlineChanged(ctx)
	case "close":
		return a.tellOnlineChanged(ctx)
	default:
		return a.say(ctx, e)
	}
}

// say passes a chat message on: to one user and its author, or to everybody.
func (a *demoApp) say(ctx context.Context, e event) error {
	var chat struct {
		Event string `json:"event"`
		Data  struct {
			Text string `json:"text"`
			To   string `json:"to"`
		} `json:"data"`
	}
	if json.Unmarshal(e.Data, &chat) != nil || chat.Event != "chat" {
		return a.api.send(ctx, sendCommand{ConnID: e.ConnID, Payload: message{"error", "this app only knows the event chat"}})
	}
	command := sendCommand{All: true, Payload: message{"chat", map[string]string{
		"from": e.UserName, "text": chat.Data.Text, "to": chat.Data.To,
	}}}
	if chat.Data.To != "" {
		command.All, command.Users = false, []string{chat.Data.To, e.UserName}
	}
	return a.api.send(ctx, command)
}

// tellOnlineChanged has the pages ask for the list. To send the list itself would
// let an older one overtake a newer: events of two connections are handled side by
// side.
func (a *demoApp) tellOnlineChanged(ctx context.Context) error {
	return a.api.send(ctx, sendCommand{All: true, Payload: message{"online", map[string]any{}}})
}

// handleOnline answers the page with the gateway's list.
func (a *demoApp) handleOnline(w http.ResponseWriter, r *http.Request) {
	online, err := a.api.list(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(online)
}

// handleClose closes a connection, as an app would that throws somebody out.
func (a *demoApp) handleClose(w http.ResponseWriter, r *http.Request) {
	conn := r.FormValue("conn_id")
	if conn == "" {
		http.Error(w, "conn_id is missing", http.StatusBadRequest)
		return
	}
	err := a.api.close(r.Context(), closeCommand{Conns: []string{conn}, Code: 4001, Reason: "closed by the app"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// ingress stands for what is in front of a gateway: it knows who the user is, and
// says so in the user header, whatever the client has put there. This one
// believes the name in the URL; a real one asks for a login.
func (a *demoApp) ingress() http.Handler {
	target := &url.URL{Scheme: "http", Host: a.gateway.clients}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.URL.Path, r.Out.URL.RawPath = a.gateway.path, ""
			r.Out.Host = r.In.Host
			r.Out.Header.Set(a.gateway.userHeader, userName(r.In.URL.Query().Get("user")))
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			a.log.Debug().Err(err).Msg("demo app: passing a client on")
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: quietly(a.log),
	}
}

// userName makes what somebody typed fit for a header and a list.
func userName(typed string) string {
	const longest = 32
	name := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, typed)))
	if len(name) == 0 {
		return "guest"
	}
	return string(name[:min(len(name), longest)])
}
