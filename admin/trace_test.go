package admin

import (
	"context"
	"testing"

	"github.com/valyala/fasthttp"

	"ws-gateway/tracecontext"
)

func TestARequestsTraceIsReadIfItIsValidAndThereOnce(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, c := range map[string]struct {
		values []string
		want   string
	}{
		"none":    {nil, ""},
		"one":     {[]string{parent}, parent},
		"a wrong": {[]string{parent + "-"}, ""},
		"two":     {[]string{parent, parent}, ""},
	} {
		ctx := new(fasthttp.RequestCtx)
		for _, v := range c.values {
			ctx.Request.Header.Add("Traceparent", v)
		}
		if got := traceOf(ctx); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
		wait := &hubContext{Context: context.Background()}
		if got := tracecontext.From(traced(wait, c.want)); got != c.want {
			t.Errorf("%s on its way: %q", name, got)
		}
	}
}

func TestARequestWithoutATraceAllocatesNothingForIt(t *testing.T) {
	ctx, wait := new(fasthttp.RequestCtx), &hubContext{Context: context.Background()}
	ctx.Request.Header.Set("Content-Type", "application/json")
	if n := testing.AllocsPerRun(100, func() {
		if tracecontext.From(traced(wait, traceOf(ctx))) != "" {
			t.Error("there is one")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
