package hub

import (
	"bytes"
	"slices"
	"strings"

	"ws-gateway/forward/headers"
	"ws-gateway/netpoll/wire"
	"ws-gateway/tracecontext"
)

// eventHeaders packs the headers of a handshake that go with each event of the
// connection: the cookies, or those that Config.ForwardHeaders names. It leaves out
// a header that is not there, and joins one that is there several times (RFC 9110,
// 5.3). The handshake's trace comes first, if it has one.
func (s *settings) eventHeaders(r *wire.Request) string {
	fields := traceOf(r)
	if len(s.forwardHeaders) == 0 {
		return headers.Pack(cookies(r), fields)
	}
	cookie := ""
	for _, name := range s.forwardHeaders {
		if tracecontext.IsField(name) {
			continue // it comes along without being named, with the event's own span
		}
		if strings.EqualFold(name, "Cookie") {
			cookie = cookies(r)
			continue
		}
		var values [][]byte
		for _, f := range r.Fields {
			if bytes.EqualFold(f.Name, []byte(name)) {
				values = append(values, f.Value)
			}
		}
		if values != nil && !slices.ContainsFunc(fields, func(f headers.Field) bool { return strings.EqualFold(f.Name, name) }) {
			fields = append(fields, headers.Field{Name: name, Value: string(bytes.Join(values, []byte(", ")))})
		}
	}
	return headers.Pack(cookie, fields)
}

// traceOf returns the fields of W3C Trace Context that go with each event of a connection
// whose handshake has them. A traceparent that is not valid, or there twice, counts for
// nothing, and neither does tracestate then.
func traceOf(r *wire.Request) []headers.Field {
	parent, count := r.Get(tracecontext.Parent)
	if count != 1 || !tracecontext.ValidParent(parent) {
		return nil
	}
	fields := []headers.Field{{Name: tracecontext.Parent, Value: tracecontext.Kept(string(parent))}}
	var states []string
	for _, f := range r.Fields {
		if bytes.EqualFold(f.Name, []byte(tracecontext.State)) {
			states = append(states, string(f.Value))
		}
	}
	if state := tracecontext.JoinState(states); state != "" {
		fields = append(fields, headers.Field{Name: tracecontext.State, Value: state})
	}
	return fields
}

// cookies copies the Cookie header verbatim. A proxy may have split it into several
// fields; they are joined as RFC 9113, 8.2.3 says.
func cookies(r *wire.Request) string {
	first, count := r.Get("Cookie")
	if count < 2 {
		return string(first)
	}
	var all [][]byte
	for _, f := range r.Fields {
		if bytes.EqualFold(f.Name, []byte("Cookie")) {
			all = append(all, f.Value)
		}
	}
	return string(bytes.Join(all, []byte("; ")))
}
