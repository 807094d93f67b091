package wire

import (
	"bytes"
	"net/netip"
)

// Request is the head of an HTTP/1.1 request. Its slices point into the bytes that
// ParseHead was given.
type Request struct {
	Remote netip.AddrPort // the TCP peer, IPv4 addresses unmapped
	Method []byte
	Target []byte // path and query of the request target, as sent; see Target.Origin
	Path   []byte // Target up to the query
	Minor  int    // HTTP/1.Minor
	Fields []Field
}

// Field is one header line: the name as sent, the value without surrounding blanks.
type Field struct {
	Name, Value []byte
}

// Is reports whether the field is called name, in any case.
func (f *Field) Is(name string) bool {
	return len(f.Name) == len(name) && equalFold(f.Name, name)
}

// Get returns the value of the first field called name, in any case, and how
// many there are.
func (r *Request) Get(name string) (value []byte, count int) {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Is(name) {
			if count == 0 {
				value = f.Value
			}
			count++
		}
	}
	return value, count
}

// EachSubprotocol calls f with the subprotocols that the client offers, most
// wanted first, until f returns true. Each is a token (RFC 9110, 5.6.2).
func (r *Request) EachSubprotocol(f func(name []byte) (stop bool)) {
	r.eachElement("Sec-WebSocket-Protocol", f)
}

// eachElement calls f with the elements of the comma-separated lists in all fields
// called name, in order, until f returns true. It skips empty elements (RFC 9110,
// 5.6.1.2).
func (r *Request) eachElement(name string, f func(element []byte) (stop bool)) {
	for i := range r.Fields {
		if !r.Fields[i].Is(name) {
			continue
		}
		for rest, more := r.Fields[i].Value, true; more; {
			var element []byte
			element, rest, more = bytes.Cut(rest, comma)
			if element = trimBlanks(element); len(element) > 0 && f(element) {
				return
			}
		}
	}
}

var comma = []byte{','}

// hasElement reports whether element, in any case, is in a list in a field called
// name.
func (r *Request) hasElement(name, element string) (found bool) {
	r.eachElement(name, func(e []byte) bool {
		found = len(e) == len(element) && equalFold(e, element)
		return found
	})
	return found
}

// equalFold compares ASCII without case; a and b are of the same length.
func equalFold(a []byte, b string) bool {
	for i := range a {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
