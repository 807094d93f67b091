package demo

import (
	"context"
	"net/http"
	"sync"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
)

const (
	maxLines    = 1000 // that can be cut; more pass, and cannot
	numbersSent = 20   // while a line is cut
	numberEvery = 200 * time.Millisecond
)

// lines are the WebSockets that pass through the ingress, under names that their pages give
// them. A page can have its own cut, to see that a session outlives its connection.
type lines struct {
	mu  sync.Mutex // guards following
	all map[string]*line
}

type line struct {
	hangUp context.CancelFunc // nil: nothing passes
	cut    bool
}

// pass lets a WebSocket pass until the result is cancelled, or says false while the line is
// cut.
func (l *lines) pass(parent context.Context, name string) (ctx context.Context, done func(), ok bool) {
	ctx, cancel := context.WithCancel(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	this := l.all[name]
	switch {
	case this != nil && this.cut:
		cancel()
		return nil, nil, false
	case name == "", this == nil && len(l.all) >= maxLines:
		return ctx, cancel, true
	}
	this = &line{hangUp: cancel} // another one of this name cannot be cut any more
	l.all[name] = this
	return ctx, func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		if this.hangUp = nil; l.all[name] == this && !this.cut {
			delete(l.all, name)
		}
	}, true
}

// cut tears a line off, until mend. It says false if there is none, or if it is cut already.
func (l *lines) cut(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	this := l.all[name]
	if this == nil || this.cut {
		return false
	}
	this.cut = true
	this.hangUp()
	return true
}

func (l *lines) mend(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, name)
}

// handleCutLine cuts a page's line for some seconds. Meanwhile it sends numbers to the page,
// which the gateway keeps for it.
func (a *app) handleCutLine(w http.ResponseWriter, r *http.Request) {
	name, conn := r.FormValue("line"), r.FormValue("conn_id")
	if !a.lines.cut(name) {
		http.Error(w, "there is no such line, or it is cut already", http.StatusNotFound)
		return
	}
	defer a.lines.mend(name)
	for n := 1; n <= numbersSent; n++ {
		select {
		case <-time.After(numberEvery):
		case <-r.Context().Done(): // the page is gone
			return
		}
		if err := a.send(r.Context(), &api.SendCommand{Conn: conn, Payload: number("number", n)}); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// number is one of a row that a page counts.
func number(event string, n int) message { return message{event, map[string]int{"n": n}} }
