// Package clients_test uses a client that oapi-codegen has made of docs/openapi.yaml with
// the real binary; that this compiles is half of the test. And it has an app with
// OpenTelemetry's SDK take the gateway's callbacks. It is a module of its own, because the
// libraries of both are many.
package clients_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/clients/api"
)

// patience bounds the test; nothing in it takes long.
const patience = 5 * time.Minute

// start runs a gateway and returns its address.
func start(t *testing.T, args ...string) string {
	t.Helper()
	binary := os.Getenv("WS_GATEWAY_BINARY")
	if binary == "" {
		t.Fatal("WS_GATEWAY_BINARY must name the binary to test")
	}
	cmd := exec.Command(binary, append(args, "--listen", "127.0.0.1:0", "--drain-period", "0s")...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(ready)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line struct{ Message, Listen string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "ready" {
				ready <- line.Listen
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range ready {
		}
		_ = cmd.Wait()
	})
	address, ok := <-ready
	if !ok {
		t.Fatal("the gateway did not start")
	}
	return address
}

func TestAGeneratedClientJoinsSendsListsAndCloses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	address := start(t, "--no-callback")
	client, err := api.NewClientWithResponses("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(ctx, "ws://"+address+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"X-Bfl-User": {"alice"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()

	yes, alice, rooms := true, []string{"alice"}, []api.Group{"room-1"}
	joined, err := client.JoinWithResponse(ctx, api.JoinJSONRequestBody{Groups: rooms, Users: &alice})
	if err != nil || joined.JSON200 == nil || joined.JSON200.Data.Matched != 1 {
		t.Fatalf("%v: %s", err, joined.Body)
	}
	sent, err := client.SendWithResponse(ctx, api.SendJSONRequestBody{Groups: &rooms, Payload: map[string]string{"event": "hello"}, Report: &yes})
	if err != nil || sent.JSON200 == nil || sent.JSON200.Data.Queued != 1 {
		t.Fatalf("%v: %s", err, sent.Body)
	}
	if _, message, err := ws.Read(ctx); err != nil || string(message) != `{"event":"hello"}` {
		t.Fatalf("%v: %s", err, message)
	}
	limit := 10
	listed, err := client.ListWithResponse(ctx, &api.ListParams{User: &alice, Limit: &limit})
	if err != nil || listed.JSON200 == nil || len(*listed.JSON200.Data) != 1 || (*listed.JSON200.Data)[0].Name != "alice" {
		t.Fatalf("%v: %s", err, listed.Body)
	}
	described, err := client.GetWithResponse(ctx, &api.GetParams{ConnId: (*listed.JSON200.Data)[0].Conns[0].Id})
	if err != nil || described.JSON200 == nil || len(described.JSON200.Data.Groups) != 1 {
		t.Fatalf("%v: %s", err, described.Body)
	}
	refused, err := client.CountWithResponse(ctx, nil, func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		return nil
	})
	if err != nil || refused.JSON403 == nil || refused.JSON403.Code != http.StatusForbidden {
		t.Fatalf("%v: %s", err, refused.Body)
	}
	code, reason := 4001, "signed out"
	closed, err := client.CloseWithResponse(ctx, api.CloseJSONRequestBody{Users: &alice, Code: &code, Reason: &reason})
	if err != nil || closed.JSON200 == nil || closed.JSON200.Code != 0 {
		t.Fatalf("%v: %s", err, closed.Body)
	}
	if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != 4001 {
		t.Fatal(err)
	}
}

func TestAGeneratedEventIsReadByItsAction(t *testing.T) {
	var event api.Event
	if err := json.Unmarshal([]byte(`{"data":{},"action":"close","user_name":"alice","conn_id":"x","code":4000,"reason":"see you","initiator":"client"}`), &event); err != nil {
		t.Fatal(err)
	}
	read, err := event.ValueByDiscriminator()
	if closed, ok := read.(api.CloseEvent); err != nil || !ok || closed.Code != 4000 {
		t.Fatalf("%v: %#v", err, read)
	}
}
