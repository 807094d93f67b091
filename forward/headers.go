package forward

import (
	"slices"
	"strings"

	"ws-gateway/httptoken"
)

// Field is a header field of a client's request.
type Field struct{ Name, Value string }

// PackHeaders makes Source.Headers of a client's Cookie header, "" for none, and
// the other fields that are to go with each of the connection's events. A cookie
// alone is returned as it is, so that it takes no memory of its own.
//
// A packed string with more begins with a line break, which no value of a field
// holds: a line with the cookie, then header lines as they are sent.
func PackHeaders(cookie string, fields []Field) string {
	if len(fields) == 0 {
		return oneLine(cookie)
	}
	var b strings.Builder
	b.WriteByte('\n')
	b.WriteString(oneLine(cookie))
	b.WriteByte('\n')
	for _, f := range fields {
		b.WriteString(f.Name)
		b.WriteString(": ")
		b.WriteString(oneLine(f.Value))
		b.WriteString("\r\n")
	}
	return b.String()
}

// unpackHeaders takes apart what PackHeaders has made, without copying.
func unpackHeaders(packed string) (cookie, lines string) {
	if !strings.HasPrefix(packed, "\n") {
		return packed, ""
	}
	cookie, lines, _ = strings.Cut(packed[1:], "\n")
	return cookie, lines
}

// oneLine makes blanks of what would end a header line.
func oneLine(value string) string {
	if !strings.ContainsAny(value, "\r\n\x00") {
		return value
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, value)
}

// CheckHeader says why a header of this name cannot be added to callbacks; "" for
// nothing.
func CheckHeader(name string) (reason string) {
	lower := strings.ToLower(name)
	switch {
	case !httptoken.Is(name):
		return "that is no name of a header"
	case slices.Contains(hopByHop, lower):
		return "it is about a single connection"
	case slices.Contains(ours, lower), strings.HasPrefix(lower, "x-ws-"):
		return "it is set by the gateway"
	default:
		return ""
	}
}

var (
	// RFC 9110 section 7.6.1, and what else is for the next hop alone.
	hopByHop = []string{
		"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"te", "trailer", "transfer-encoding", "upgrade", "expect",
	}
	ours = []string{"content-length", "content-type", "cookie", "host", "user-agent", "x-attempt", "x-request-id"}
)
