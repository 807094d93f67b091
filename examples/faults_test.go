//go:build examples

package examples

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// faults passes an example's calls on to the gateway, and lets those fail that it is told to.
type faults struct {
	server *httptest.Server

	mu    sync.Mutex
	proxy *httputil.ReverseProxy
	fail  fault
}

// fault is how the next call fails in whose body there is about.
type fault struct {
	about  string
	status int
	body   string
}

func startFaults(t *testing.T) *faults {
	f := new(faults)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *faults) addr() string { return f.server.Listener.Addr().String() }

func (f *faults) passTo(gateway string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: gateway}) },
		// An example is stopped with a call under way: the last one has gone.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

func (f *faults) order(fail fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	proxy, fail := f.proxy, f.fail
	spoilt := fail.about != "" && strings.Contains(string(body), fail.about)
	if spoilt {
		f.fail = fault{}
	}
	f.mu.Unlock()
	if spoilt {
		w.WriteHeader(fail.status)
		_, _ = io.WriteString(w, fail.body)
		return
	}
	proxy.ServeHTTP(w, r)
}
