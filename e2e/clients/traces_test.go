package clients_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// tracedApp is an app as OpenTelemetry's instrumentation of net/http makes it. It records
// what the caller has sampled, and nothing else. It takes each event at its second attempt.
type tracedApp struct {
	*httptest.Server
	spans *tracetest.SpanRecorder

	mu     sync.Mutex
	closed int           // close events taken
	ended  chan struct{} // closed with as many as there are connections
}

func startTracedApp(t *testing.T, connections int) *tracedApp {
	t.Helper()
	a := &tracedApp{spans: tracetest.NewSpanRecorder(), ended: make(chan struct{})}
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(a.spans), sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())))
	handle := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Header.Get("X-Attempt") == "1" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if actionOf(body) == "close" {
			if a.closed++; a.closed == connections {
				close(a.ended)
			}
		}
	}
	a.Server = httptest.NewServer(otelhttp.NewHandler(http.HandlerFunc(handle), "event",
		otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(propagation.TraceContext{})))
	t.Cleanup(a.Server.Close)
	return a
}

func TestAnAppWithOpenTelemetryFindsTheHandshakesTraceInItsCallbacks(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	app := startTracedApp(t, 3)
	address := start(t, "--callback-url", app.URL+"/events")

	// A proxy in front records its span of the handshake, or not.
	handshakes := map[string]trace.SpanContext{}
	for user, sampler := range map[string]sdk.Sampler{"sampled": sdk.AlwaysSample(), "unsampled": sdk.NeverSample(), "untraced": nil} {
		header := http.Header{"X-Bfl-User": {user}}
		if sampler != nil {
			_, span := sdk.NewTracerProvider(sdk.WithSampler(sampler)).Tracer("proxy").Start(ctx, "handshake")
			state, err := trace.ParseTraceState("vendor=x,other@tenant=y")
			if err != nil {
				t.Fatal(err)
			}
			handshakes[user] = span.SpanContext().WithTraceState(state)
			propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(ctx, handshakes[user]), propagation.HeaderCarrier(header))
			span.End()
		}
		ws, _, err := websocket.Dial(ctx, "ws://"+address+"/ws", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(ctx, websocket.MessageText, []byte(`{"n":1}`)); err != nil {
			t.Fatal(err)
		}
		if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-app.ended:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	app.Server.Close() // and so all spans have ended

	// The app has recorded the events of one connection, two attempts each: open, message, close.
	parents := map[trace.SpanID]int{}
	for _, span := range app.spans.Ended() {
		parent, of := span.Parent(), handshakes["sampled"]
		if parent.TraceID() != of.TraceID() || !parent.IsRemote() || !parent.IsSampled() || span.SpanContext().TraceID() != of.TraceID() {
			t.Errorf("%v has the parent %v, and the handshake was %v", span.SpanContext(), parent, of)
		}
		if got := parent.TraceState().String(); got != of.TraceState().String() {
			t.Errorf("tracestate %q, want %q", got, of.TraceState())
		}
		if parent.SpanID() == of.SpanID() {
			t.Errorf("a callback has the handshake's span")
		}
		parents[parent.SpanID()]++
	}
	if len(parents) != 3 {
		t.Errorf("%d spans of callbacks, want 3", len(parents))
	}
	for span, attempts := range parents {
		if attempts != 2 {
			t.Errorf("%v is the span of %d attempts, want 2", span, attempts)
		}
	}
}

// actionOf is the action of an event.
func actionOf(body []byte) string {
	var event struct{ Action string }
	if json.Unmarshal(body, &event) != nil {
		return ""
	}
	return event.Action
}
