package forward

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ws-gateway/forward/headers"
	"ws-gateway/tracecontext"
)

const someTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// traced is a source whose handshake had a trace.
func traced(key, seq int) Source {
	src := source(key, seq)
	src.Headers = headers.Pack("a=b", []headers.Field{
		{Name: tracecontext.Parent, Value: tracecontext.Kept("00-" + someTrace + "-00f067aa0ba902b7-01")},
		{Name: tracecontext.State, Value: "vendor=x"}, {Name: "X-Tenant", Value: "7"},
	})
	return src
}

func TestAPipelinesPOSTsHaveTheTracesOfTheirConnections(t *testing.T) {
	bubble(t, Config{Pipeline: 4, Concurrency: 1}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		spans := make(chan string, 100)
		a.serve = func(p post, _ http.ResponseWriter, r *http.Request) {
			parent := r.Header.Get("Traceparent")
			if strings.HasPrefix(p.id, "c2") {
				equal(t, "traceparent of c2", parent, "")
				return
			}
			if !tracecontext.ValidParent(parent) || tracecontext.TraceID(parent) != someTrace || r.Header.Get("X-Tenant") != "7" || p.cookie != "a=b" {
				t.Errorf("%s came with %q", p.id, r.Header)
			}
			spans <- parent
		}
		for seq := range 5 {
			f.Message(traced(1, seq), []byte("1"), false)
			f.Message(source(2, seq), []byte("1"), false)
			f.Message(traced(3, seq), []byte("1"), false)
		}
		synctest.Wait()
		close(spans)
		seen := map[string]bool{}
		for parent := range spans {
			seen[parent] = true
		}
		equal(t, "spans", len(seen), 10)
	})
}

func TestABatchsEventsHaveTheirTraceAmongTheirHeadersTheSameEachTime(t *testing.T) {
	bubble(t, Config{Batch: 10, Linger: time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			equal(t, "traceparent of the POST", r.Header.Get("Traceparent"), "")
			if p.attempt == 1 {
				w.WriteHeader(503)
			}
		}
		f.Message(traced(1, 1), []byte("1"), false)
		f.Message(source(2, 1), []byte("1"), false)
		time.Sleep(time.Minute)
		posts := a.received()
		equal(t, "POSTs", len(posts), 2)
		for _, p := range posts {
			equal(t, "body of the attempt", p.body, posts[0].body)
			equal(t, "traces", strings.Count(p.body, `"headers":{"traceparent":"00-`+someTrace+"-"), 1)
			equal(t, "spans left out", strings.Count(p.body, "0000000000000000"), 0)
			equal(t, "tracestates", strings.Count(p.body, `"tracestate":"vendor=x","X-Tenant":"7"}`), 1)
		}
	})
}

func TestARequestTakesNoMemoryForATraceThatIsNotThere(t *testing.T) {
	pool := eventPool{levels: MaxJSONDepth}
	for name, src := range map[string]Source{"without": alice, "with": traced(1, 1)} {
		e := pool.message(&src, []byte("1"), false)
		if n := testing.AllocsPerRun(100, func() { e.request() }); n != 0 {
			t.Errorf("%s a trace: %v allocations", name, n)
		}
	}
}
