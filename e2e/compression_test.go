package e2e_test

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// dialCompressing connects with a client that offers permessage-deflate and
// compresses all that it sends.
func (g *gateway) dialCompressing(t *testing.T, user string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, "ws://"+g.Addr+"/ws", &websocket.DialOptions{
		HTTPHeader:           http.Header{"X-Bfl-User": {user}},
		CompressionMode:      websocket.CompressionContextTakeover,
		CompressionThreshold: 1,
	})
	if err != nil {
		t.Fatalf("connecting as %q: %v", user, err)
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{T: t, WS: ws, Response: response}
}

func agreed(c *client) string { return c.Response.Header.Get("Sec-WebSocket-Extensions") }

// inflated decompresses a message that came in one frame (RFC 7692, 7.2.2).
func inflated(t *testing.T, payload string) string {
	t.Helper()
	text, err := io.ReadAll(flate.NewReader(strings.NewReader(payload + "\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wordy is a JSON string that compresses well.
var wordy = `"` + strings.Repeat("said again and again, ", 200) + `"`

func TestWithCompressionMessagesTravelCompressedAndTheAppSeesThemPlain(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app, "--compression")
	c := g.dialCompressing(t, "alice")
	if !strings.HasPrefix(agreed(c), "permessage-deflate") {
		t.Fatalf("agreed on %q", agreed(c))
	}
	g.expectMetric(t, "ws_gateway_upgraded_total", 1) // its request is among the bytes
	before := g.metricNow(t, `ws_gateway_received_bytes_total`)
	for n := 1; n <= 3; n++ {
		c.Send(wordy)
		if got := app.message("alice", n).event.Data; string(got) != wordy {
			t.Fatalf("the app got %.100q", got)
		}
	}
	g.expectMetric(t, "ws_gateway_received_messages_total", 3)
	if grown := g.metricNow(t, `ws_gateway_received_bytes_total`) - before; grown >= float64(len(wordy)) {
		t.Errorf("three messages of %d bytes took %v bytes on the wire", len(wordy), grown)
	}
	g.send(`{"users":["alice"],"payload":` + wordy + `}`)
	c.Receive(wordy)
}

func TestABroadcastReachesCompressedAndPlainClients(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--compression", "--compression-threshold", "64")
	library := g.dialCompressing(t, "library")
	plain := g.Dial(t, "plain")
	if agreed(plain) != "" {
		t.Errorf("a client that offers nothing was answered %q", agreed(plain))
	}
	raws := map[string]*raw{
		"any window":   g.rawClient(t, "any window", "Sec-WebSocket-Extensions: permessage-deflate"),
		"small window": g.rawClient(t, "small window", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"),
	}
	uncompressed := g.rawClient(t, "uncompressed")

	g.send(`{"all":true,"payload":` + wordy + `}`)
	library.Receive(wordy)
	plain.Receive(wordy)
	uncompressed.expect(fin|opText, wordy)
	for name, r := range raws {
		first, payload, err := r.next()
		if err != nil || first != fin|rsv1|opText || len(payload) >= len(wordy)/2 || inflated(t, payload) != wordy {
			t.Errorf("%s: frame %#x with %d bytes, %v", name, first, len(payload), err)
		}
	}

	// Below the threshold compressing would cost more than it saves.
	small := `"` + strings.Repeat("a", 40) + `"`
	g.send(`{"all":true,"payload":` + small + `}`)
	for _, r := range raws {
		r.expect(fin|opText, small)
	}
	library.Receive(small)
}

func TestAMessageThatInflatesOverTheLimitIsClosedWith1009(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--compression", "--max-message-size", "64KiB")
	r := g.rawClient(t, "bomb", "Sec-WebSocket-Extensions: permessage-deflate")
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r.say(frame(fin|rsv1|opBinary, packed.String()))
	r.expectClose(1009)
}

func TestWithoutTheOptionCompressionIsNotAgreedOn(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.dialCompressing(t, "alice")
	if agreed(c) != "" {
		t.Errorf("agreed on %q", agreed(c))
	}
	g.send(`{"all":true,"payload":` + wordy + `}`)
	c.Receive(wordy)
}
