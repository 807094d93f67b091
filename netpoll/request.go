package netpoll

import "net/netip"

// Request is the head of an HTTP/1.1 request. Its slices point into the read
// buffer and are valid until the call that they were passed to returns.
type Request struct {
	Remote netip.AddrPort // the TCP peer, IPv4 addresses unmapped
	Method []byte
	Target []byte // the request target as sent: path and query
	Path   []byte // Target up to the query
	Minor  int    // HTTP/1.Minor
	Fields []Field
}

// Field is one header line: the name as sent, the value without surrounding blanks.
type Field struct {
	Name, Value []byte
}

// Get returns the value of the first field called name, in any case, and how
// many there are.
func (r *Request) Get(name string) (value []byte, count int) {
	for i := range r.Fields {
		if f := &r.Fields[i]; len(f.Name) == len(name) && equalFold(f.Name, name) {
			if count == 0 {
				value = f.Value
			}
			count++
		}
	}
	return value, count
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
