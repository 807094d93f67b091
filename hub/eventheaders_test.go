package hub

import (
	"strings"
	"testing"

	"ws-gateway/forward/headers"
	"ws-gateway/netpoll/wire"
	"ws-gateway/tracecontext"
)

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	someParent = "traceparent: 00-" + someTrace + "-00f067aa0ba902b7-01"
	keptLine   = "traceparent: 00-" + someTrace + "-0000000000000000-01\r\n"
)

func TestTheTraceOfAHandshakeGoesWithTheEventsIfItIsValid(t *testing.T) {
	state := func(s string) string { return keptLine + "tracestate: " + s + "\r\n" }
	for _, c := range []struct {
		forward []string
		lines   []string
		cookie  string
		want    string
	}{
		{nil, []string{"Cookie: a=b"}, "a=b", ""},
		{nil, []string{"Cookie: a=b", someParent}, "a=b", keptLine},
		{nil, []string{strings.Replace(someParent, "traceparent", "TraceParent", 1), "tracestate: foo=1", "TRACESTATE: bar=2"}, "", state("foo=1,bar=2")},
		{nil, []string{someParent, "tracestate: foo"}, "", keptLine},
		{nil, []string{someParent, someParent}, "", ""},
		{nil, []string{someParent + "-", "tracestate: foo=1"}, "", ""},
		{nil, []string{"tracestate: foo=1"}, "", ""},
		{[]string{"X-Tenant"}, []string{"X-Tenant: 7", "Cookie: a=b", someParent}, "", keptLine + "X-Tenant: 7\r\n"},
		{[]string{"Traceparent", "tracestate", "Cookie"}, []string{"Cookie: a=b", someParent, "tracestate: foo=1"}, "a=b", state("foo=1")},
		{[]string{"Traceparent"}, []string{"traceparent: x"}, "", ""},
	} {
		s := &settings{forwardHeaders: c.forward}
		cookie, lines := headers.Unpack(s.eventHeaders(request(proxyPeer, c.lines...)))
		if cookie != c.cookie || lines != c.want {
			t.Errorf("%q of %q: %q, %q; want %q", c.forward, c.lines, cookie, lines, c.want)
		}
	}
}

func TestAHandshakeWithoutATraceAllocatesWhatItDidBefore(t *testing.T) {
	s := &settings{}
	for lines, want := range map[string]float64{
		"User-Agent: x": 0,
		"Cookie: a=b":   1, // the cookie
	} {
		var r *wire.Request = request(proxyPeer, lines)
		if n := testing.AllocsPerRun(100, func() { s.eventHeaders(r) }); n != want {
			t.Errorf("%s: %v allocations, want %v", lines, n, want)
		}
	}
	if !tracecontext.IsKept(keptLine) {
		t.Error(keptLine)
	}
}
