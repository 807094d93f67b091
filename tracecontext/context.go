package tracecontext

import "context"

type key struct{}

// With returns a context that has the traceparent of a request.
func With(ctx context.Context, parent string) context.Context {
	return context.WithValue(ctx, key{}, parent)
}

// From returns the traceparent of the request that ctx is of, "" for none.
func From(ctx context.Context) string {
	parent, _ := ctx.Value(key{}).(string)
	return parent
}
