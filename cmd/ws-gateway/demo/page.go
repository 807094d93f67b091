package demo

import (
	"embed"
	"io/fs"
	stdlog "log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/rs/zerolog"

	"ws-gateway/client"
	"ws-gateway/netpoll/wire"
)

//go:embed page
var pageFiles embed.FS

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+callbackPath, a.handleEvent)
	mux.Handle("GET /ws", a.ingress())
	mux.Handle("GET /events", a.feed)
	mux.HandleFunc("GET /online", a.handleOnline)
	mux.HandleFunc("POST /close", a.handleClose)
	mux.HandleFunc("GET /instances", a.handleInstances)
	mux.HandleFunc("POST /cut", a.handleCut)
	mux.HandleFunc("POST /cut-line", a.handleCutLine)
	mux.Handle("GET /client/", http.StripPrefix("/client/", http.FileServerFS(sub(client.Scripts, "src"))))
	mux.Handle("GET /", http.FileServerFS(sub(pageFiles, "page")))
	return http.NewCrossOriginProtection().Handler(withPolicy(mux))
}

// sub is a folder of embedded files.
func sub(files embed.FS, folder string) fs.FS {
	inside, err := fs.Sub(files, folder)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return inside
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

// ingress stands for the proxy in front of a gateway. It knows who the user is and writes
// the name into the user header, whatever the client has sent there. This one believes
// the name in the URL; a real one asks for a login.
func (a *app) ingress() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: a.gatewayFor(r.In.Header)})
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done, ok := a.lines.pass(r.Context(), r.URL.Query().Get("line"))
		if !ok {
			http.Error(w, "this line is cut", http.StatusBadGateway)
			return
		}
		defer done()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// gatewayFor is where a client is passed on to. With several gateways, one that comes back to
// its session gets the next one each time, as from a balancer that is not sticky: that one
// carries it to the gateway with the session.
func (a *app) gatewayFor(header http.Header) string {
	offered := strings.Join(header.Values("Sec-WebSocket-Protocol"), ",")
	if a.instances == nil || !strings.Contains(offered, wire.ResumeProtocol+".") {
		return a.gateway.clients
	}
	all := a.instances.all
	next := (slices.Index(all, a.self) + int(a.returned.Add(1)%uint32(len(all)))) % len(all)
	return all[next].app.gateway.clients
}

// userName makes a name that somebody has typed fit for a header and a list.
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

// quietly is for libraries that log the trouble of a single connection.
func quietly(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(debugWriter{log}, "", 0)
}

type debugWriter struct{ log zerolog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
