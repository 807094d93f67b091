package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/cmd/ws-gateway/program"
)

// The browser test (make test-node) uses the demo as people do; here is what a
// page cannot show.

func TestTheDemoRunsWithATokenAndAPrivateManagementSocket(t *testing.T) {
	socket := t.TempDir() + "/admin.sock"
	p := start(t, "demo", "--listen=127.0.0.1:0", "--app-listen=127.0.0.1:0", "--admin-listen=unix:"+socket, "--admin-token=hush-hush", "--user-header=X-Who", "--path=/elsewhere", "--drain-period=0s")
	app := p.log.Await(t, "demo")["app"].(string)

	dialed := &http.Client{Transport: &http.Transport{}}
	defer dialed.CloseIdleConnections()
	header := http.Header{"X-Who": {"mallory"}}
	c, _, err := websocket.Dial(t.Context(), "ws://"+app+"/ws?user="+url.QueryEscape("Zoë"), &websocket.DialOptions{HTTPHeader: header, HTTPClient: dialed})
	if err != nil {
		t.Fatalf("%v:\n%s", err, p.log)
	}
	defer c.CloseNow()
	_, text, err := c.Read(t.Context())
	if err != nil || !strings.HasPrefix(string(text), `{"event":"welcome","data":{"conn_id":"`) || !strings.Contains(string(text), `"user":"Zoë"`) {
		t.Errorf("got %s, %v: the user is who the ingress says, whatever the client claims", text, err)
	}
	if !strings.Contains(p.stdout.String(), "--unix-socket "+socket) || !strings.Contains(p.stdout.String(), "$TOKEN") || strings.Contains(p.stdout.String()+p.log.String(), "hush") {
		t.Errorf("what it prints does not fit:\n%s", p.stdout)
	}
	p.signals <- os.Interrupt
	for err == nil {
		_, _, err = c.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v", err)
	}
	if code := p.wait(t); code != program.ExitOK {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}
}

func TestTheDemoIsNotOfferedToOtherHosts(t *testing.T) {
	p := start(t, "demo", "--app-listen=127.0.0.1:0", "--listen=127.0.0.1:0")
	ready := p.log.Await(t, "ready")
	p.signals <- os.Interrupt
	p.wait(t)
	if !strings.HasPrefix(ready["listen"].(string), "127.0.0.1:") {
		t.Errorf("listens on %v", ready["listen"])
	}
}
