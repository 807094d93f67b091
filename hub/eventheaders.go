package hub

import (
	"bytes"
	"slices"
	"strings"

	"ws-gateway/forward/headers"
	"ws-gateway/netpoll/wire"
)

// eventHeaders packs the headers of a handshake that go with each event of the
// connection: the cookies, or those that Config.ForwardHeaders names. It leaves out
// a header that is not there, and joins one that is there several times (RFC 9110,
// 5.3).
func (s *settings) eventHeaders(r *wire.Request) string {
	if len(s.forwardHeaders) == 0 {
		return headers.Pack(cookies(r), nil)
	}
	cookie := ""
	var fields []headers.Field
	for _, name := range s.forwardHeaders {
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
