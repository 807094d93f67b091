// Package headers deals with header fields of a client's handshake that go with each
// POST to the app, and with their names. Of the project it imports httptoken and tracecontext alone.
package headers

import (
	"slices"
	"strings"

	"ws-gateway/httptoken"
	"ws-gateway/tracecontext"
)

// Field is a header field of a client's request.
type Field struct{ Name, Value string }

// Pack puts a client's Cookie header, "" for none, and other fields into one string.
// If there is only a cookie Pack returns it as it is, so that it takes no memory of
// its own.
//
// Otherwise the string begins with a line break, which no value of a field holds. A
// line with the cookie follows, then the header lines as they are sent.
func Pack(cookie string, fields []Field) string {
	if len(fields) == 0 {
		return OneLine(cookie)
	}
	var b strings.Builder
	b.WriteByte('\n')
	b.WriteString(OneLine(cookie))
	b.WriteByte('\n')
	for _, f := range fields {
		b.WriteString(f.Name)
		b.WriteString(": ")
		b.WriteString(OneLine(f.Value))
		b.WriteString("\r\n")
	}
	return b.String()
}

// Unpack takes apart what Pack has made, without copying.
func Unpack(packed string) (cookie, lines string) {
	if !strings.HasPrefix(packed, "\n") {
		return packed, ""
	}
	cookie, lines, _ = strings.Cut(packed[1:], "\n")
	return cookie, lines
}

// Repack puts together what Unpack has taken apart.
func Repack(cookie, lines string) string {
	if lines == "" {
		return cookie
	}
	return "\n" + cookie + "\n" + lines
}

// IsPacked reports whether packed is what Pack could have made, so that what Unpack makes of
// it can be sent as it is.
func IsPacked(packed string) bool {
	cookie, lines := Unpack(packed)
	if OneLine(cookie) != cookie || Repack(cookie, lines) != packed {
		return false
	}
	for lines != "" {
		line, rest, ended := strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ": ")
		if !ended || !found || !httptoken.Is(name) || OneLine(value) != value {
			return false
		}
		lines = rest
	}
	return true
}

// OneLine replaces characters that would end a header line with blanks.
func OneLine(value string) string {
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

// Check says why a header with this name cannot be added to POSTs; "" if it can.
func Check(name string) (reason string) {
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
	// RFC 9110 section 7.6.1, and other fields that are only for the next hop.
	hopByHop = []string{
		"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"te", "trailer", "transfer-encoding", "upgrade", "expect",
	}
	ours = []string{"content-length", "content-type", "cookie", "host", "user-agent", "x-attempt", "x-request-id", tracecontext.Parent, tracecontext.State}
)
