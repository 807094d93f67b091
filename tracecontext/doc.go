// Package tracecontext reads and writes the header fields of W3C Trace Context (the
// Recommendation of 23 November 2021, https://www.w3.org/TR/trace-context/): traceparent says
// which trace a request belongs to and which span has made it, tracestate what vendors add.
//
//	fields.go   what the fields may be
//	callback.go the fields of POSTs to the app
//	context.go  the trace of a management request, on its way to the hub
//
// The gateway passes traces on and records no spans. It imports none of ours; all may import
// it.
package tracecontext
