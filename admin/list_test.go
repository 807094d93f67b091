package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"ws-gateway/hub"
)

type yield = func(user string, conns []hub.Info) error

// connsOf is a walk that gives connections.
func connsOf(walk func(yield) (string, error)) func(*listWriter) (string, error) {
	return func(out *listWriter) (string, error) { return walk(out.conns) }
}

// written is what a listStream makes of a walk that gives connections.
func written(t *testing.T, paged bool, walk func(yield) (string, error)) (string, outcome) {
	t.Helper()
	return writtenBy(t, paged, connsOf(walk))
}

// writtenBy is what a listStream makes of a walk.
func writtenBy(t *testing.T, paged bool, walk func(*listWriter) (string, error)) (string, outcome) {
	t.Helper()
	var out bytes.Buffer
	result := streamed
	l := &listStream{walk: walk, paged: paged, done: func(r outcome, _ error) { result = r }}
	n, err := l.WriteTo(&out)
	if err != nil || n != int64(out.Len()) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, out.Len(), err)
	}
	return out.String(), result
}

func TestAListIsTheseBytes(t *testing.T) {
	at := time.Date(2026, 1, 2, 4, 4, 5, 60_999_999, time.FixedZone("", 3600))
	info := func(id, agent string) hub.Info {
		return hub.Info{ID: id, UserAgent: agent, ConnectedAt: at, RemoteAddr: "[2001:db8::1]:80"}
	}
	conn := func(id, agent string) string {
		return `{"id":"` + id + `","userAgent":"` + agent + `","connectedAt":"2026-01-02T03:04:05.060Z","remoteAddr":"[2001:db8::1]:80"}`
	}
	const begin = `{"code":0,"message":"success","data":[`
	for _, c := range []struct {
		name  string
		paged bool
		walk  func(yield) (string, error)
		want  string
	}{
		{"nobody", false, func(yield) (string, error) { return "", nil }, begin + `]}`},
		{"a call without connections", false, func(y yield) (string, error) { return "", y("ghost", nil) }, begin + `]}`},
		{"one", false, func(y yield) (string, error) { return "", y("alice", []hub.Info{info("1", "x")}) },
			begin + `{"name":"alice","conns":[` + conn("1", "x") + `]}]}`},
		{"the nameless", false, func(y yield) (string, error) { return "", y("", []hub.Info{info("1", "")}) },
			begin + `{"name":"","conns":[` + conn("1", "") + `]}]}`},
		{"a user in several calls, then another", false, func(y yield) (string, error) {
			return "", errors.Join(y("", []hub.Info{info("1", "")}), y("", nil), y("", []hub.Info{info("2", ""), info("3", "")}), y("bob", []hub.Info{info("4", "")}))
		}, begin + `{"name":"","conns":[` + conn("1", "") + `,` + conn("2", "") + `,` + conn("3", "") + `]},{"name":"bob","conns":[` + conn("4", "") + `]}]}`},
		{"names that need escapes", false, func(y yield) (string, error) {
			return "", y("\"\\\n\x01é\u2028\xff😀", []hub.Info{info("1", "\t")})
		}, begin + `{"name":"\"\\\n\u0001é\u2028` + "\ufffd" + `😀","conns":[` + conn("1", `\t`) + `]}]}`},
		{"a page with more to come", true, func(y yield) (string, error) { return "ne\"xt", y("a", []hub.Info{info("1", "")}) },
			begin + `{"name":"a","conns":[` + conn("1", "") + `]}],"cursor":"ne\"xt"}`},
		{"the last page", true, func(y yield) (string, error) { return "", y("a", []hub.Info{info("1", "")}) },
			begin + `{"name":"a","conns":[` + conn("1", "") + `]}]}`},
		{"no page asked for", false, func(y yield) (string, error) { return "next", y("a", []hub.Info{info("1", "")}) },
			begin + `{"name":"a","conns":[` + conn("1", "") + `]}]}`},
	} {
		got, result := written(t, c.paged, c.walk)
		if got != c.want || result != served {
			t.Errorf("%s:\n%s, outcome %d, want\n%s", c.name, got, result, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON", c.name)
		}
	}
	got, result := written(t, true, func(yield) (string, error) { return "", hub.ErrCursor })
	if got != `{"code":400,"message":"cursor is not one that this gateway gave out"}` || result != invalid {
		t.Errorf("a bad cursor: %s, outcome %d", got, result)
	}
}

func TestAListThatFailsIsNotEnded(t *testing.T) {
	broken := errors.New("broken")
	for name, walk := range map[string]func(yield) (string, error){
		"error": func(y yield) (string, error) { return "", errors.Join(y("a", []hub.Info{{ID: "1"}}), broken) },
		"panic": func(y yield) (string, error) { y("a", []hub.Info{{ID: "1"}}); panic(broken) },
	} {
		var out bytes.Buffer
		result, panics := served, 0
		l := &listStream{walk: connsOf(walk), done: func(r outcome, _ error) { result = r }, panicked: func(any) { panics++ }}
		if _, err := l.WriteTo(&out); err == nil {
			t.Errorf("%s: WriteTo has no error", name)
		}
		if json.Valid(out.Bytes()) || result != failed || (panics == 1) != (name == "panic") {
			t.Errorf("%s: %s, outcome %d, %d panics", name, &out, result, panics)
		}
	}
}

// metered counts what passes; it takes nothing once stop is set.
type metered struct {
	largest, total int
	stop           bool
}

func (m *metered) Write(p []byte) (int, error) {
	if m.stop {
		return 0, io.ErrClosedPipe
	}
	m.largest = max(m.largest, len(p))
	m.total += len(p)
	return len(p), nil
}

func TestAListOfAnySizeNeedsOneBuffer(t *testing.T) {
	const conns, atATime = 100_000, 250
	agent := strings.Repeat("a", 100)
	infos := make([]hub.Info, atATime)
	for i := range infos {
		infos[i] = hub.Info{ID: "0123456789abcdef", UserAgent: agent, RemoteAddr: "127.0.0.1:65535", ConnectedAt: time.Unix(1e9, 0)}
	}
	var out metered
	l := &listStream{done: func(outcome, error) {}, walk: func(out *listWriter) (string, error) {
		for i := range conns / atATime {
			if err := out.conns([]string{"alice", "bob"}[i%2], infos); err != nil {
				return "", err
			}
		}
		return "", nil
	}}
	l.WriteTo(io.Discard) // the pooled buffer is there
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := l.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if out.total < conns*len(agent) {
		t.Fatalf("only %d bytes were written", out.total)
	}
	if out.largest > streamBytes {
		t.Errorf("a piece of %d bytes was written, want at most %d", out.largest, streamBytes)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4*streamBytes {
		t.Errorf("%d bytes were allocated for %d bytes of list", allocated, out.total)
	}
}

func TestTheWalkEndsWhenTheReaderGoes(t *testing.T) {
	out := metered{}
	calls := 0
	result := served
	l := &listStream{done: func(r outcome, _ error) { result = r }, walk: func(o *listWriter) (string, error) {
		for {
			calls++
			out.stop = calls > 10_000
			if err := o.conns("alice", []hub.Info{{ID: "x"}}); err != nil {
				return "", err
			}
		}
	}}
	if _, err := l.WriteTo(&out); !errors.Is(err, io.ErrClosedPipe) || result != failed {
		t.Fatalf("WriteTo: %v, outcome %d", err, result)
	}
	if calls > 11_000 {
		t.Fatalf("%d calls after the reader had gone", calls-10_000)
	}
}

func TestASlowReaderHoldsTheWalkAndALostOneEndsIt(t *testing.T) {
	r := newRig(t)
	agent := strings.Repeat("agent ", 200)
	for i := range 300 {
		r.dial(fmt.Sprint("user ", i%7), agent)
	}
	ln := newCrowd() // its connections are unbuffered pipes: what is not read is not written
	r.serve(ln)
	w := ln.from(t, "127.0.0.1:1").write("GET " + listPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	first := make([]byte, 17)
	if _, err := io.ReadFull(w.in, first); err != nil || string(first) != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("%q, %v", first, err)
	}
	// The list now waits for its reader. Connections come and go meanwhile.
	r.ok(closePath, `{"users":["user 0"]}`, success)
	if got := r.list("?user=user+0"); len(got.Data) != 0 {
		t.Fatalf("after the close: %+v", got.Data)
	}
	r.dial("late", "")
	r.idOf("late")
	w.Close()
	await(t, "the list to end", func() bool {
		return r.metric("ws_gateway_api_connections", "local") == 1 // the client's own keep-alive connection
	})
	if got := r.metric("ws_gateway_api_requests_total", "failed", "list"); got != 1 {
		t.Fatalf("%v lists were cut short, want 1", got)
	}
	whole := r.list("")
	n := 0
	for _, u := range whole.Data {
		n += len(u.Conns)
	}
	if want, _ := r.hub.Count(); n != want {
		t.Fatalf("%d connections are listed, want %d", n, want)
	}
}

func TestAListIsWholeForHTTP10(t *testing.T) {
	r := newRig(t)
	r.dial("alice", "")
	r.dial("bob", "")
	want := r.do("GET", listPath, "")
	got := r.wire().write("GET " + listPath + " HTTP/1.0\r\n\r\n").read("GET")
	if got.status != 200 || got.body != want.body || got.header.Get("Transfer-Encoding") != "" || got.header.Get("Content-Length") != fmt.Sprint(len(want.body)) {
		t.Fatalf("answered %d %v %s, want %s", got.status, got.header, got.body, want.body)
	}
}
