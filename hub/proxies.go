package hub

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ws-gateway/httptoken"
	"ws-gateway/netpoll/wire"
)

// proxies are the peers whose forwarding headers are believed.
type proxies []netip.Prefix

func newProxies(prefixes []netip.Prefix) (proxies, error) {
	p := make(proxies, 0, len(prefixes))
	for _, prefix := range prefixes {
		addr, bits := prefix.Addr(), prefix.Bits()
		if addr.Is4In6() {
			addr, bits = addr.Unmap(), bits-96
		}
		unmapped := netip.PrefixFrom(addr, bits).Masked()
		if !unmapped.IsValid() {
			return nil, fmt.Errorf("hub: trusted proxies: %v is not a range of addresses", prefix)
		}
		p = append(p, unmapped)
	}
	return p, nil
}

func (p proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// client returns the address of the client that made a request. That is the TCP
// peer, unless the peer is a trusted proxy. Then it is the last address in Forwarded
// (RFC 7239) or X-Forwarded-For that is not a trusted proxy's; if there is none, the
// farthest address that is known. The port is 0 if the proxy has not named it.
//
// A proxy that writes one of the two headers may pass on the other one as a stranger
// wrote it. So if both are there and name different clients, neither is believed.
func (p proxies) client(r *wire.Request) netip.AddrPort {
	if !p.trust(r.Remote.Addr()) {
		return r.Remote
	}
	var standard, common hops
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.Is("Forwarded"):
			standard.addForwarded(f.Value)
		case f.Is("X-Forwarded-For"):
			common.addForwardedFor(f.Value)
		}
	}
	byStandard := p.walk(&standard, r.Remote, parseForwardedNode)
	byCommon := p.walk(&common, r.Remote, parseForwardedFor)
	switch {
	case !common.present:
		return byStandard
	case !standard.present:
		return byCommon
	case byStandard.Addr() != byCommon.Addr():
		return r.Remote
	default:
		return byStandard
	}
}

// walk goes back from the peer, from each proxy to the hop before it, as long as it
// trusts the proxy. It stops at an element that is no address.
func (p proxies) walk(h *hops, peer netip.AddrPort, parse func([]byte) (netip.AddrPort, bool)) netip.AddrPort {
	for i := range min(h.count, maxHops) {
		if !p.trust(peer.Addr()) {
			break
		}
		before, ok := parse(h.nodes[(h.count-1-i)%maxHops])
		if !ok {
			break
		}
		peer = before
	}
	return peer
}

// maxHops bounds a walk, however long the header is.
const maxHops = 32

// hops are the last elements of a forwarding header, as text; nil for an element
// that names nobody.
type hops struct {
	nodes   [maxHops][]byte
	count   int
	present bool // the header is there and has an element
}

func (h *hops) add(node []byte) {
	h.present = true // an empty header says nothing
	h.nodes[h.count%maxHops] = node
	h.count++
}

// addForwardedFor adds the elements of an X-Forwarded-For header.
func (h *hops) addForwardedFor(list []byte) {
	for more := true; more; {
		var node []byte
		node, list, more = bytes.Cut(list, []byte{','})
		if node = bytes.Trim(node, blanks); len(node) > 0 { // RFC 9110, 5.6.1.2: empty elements are ignored
			h.add(node)
		}
	}
}

const blanks = " \t"

// addForwarded adds the "for" parameters of the elements of a Forwarded header.
func (h *hops) addForwarded(list []byte) {
	for {
		if list = bytes.TrimLeft(list, blanks+","); len(list) == 0 {
			return
		}
		var node []byte
		node, list = cutForwarded(list)
		h.add(node)
	}
}

// cutForwarded takes the first element off a list (RFC 7239, 4):
//
//	forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
//	forwarded-pair    = token "=" ( token / quoted-string )
//
// Blanks around the separators are allowed. node is the value of "for", or nil if
// there is none or the element is malformed.
func cutForwarded(list []byte) (node, rest []byte) {
	fors, b := 0, list
	for {
		if b = bytes.TrimLeft(b, blanks+";"); len(b) == 0 || b[0] == ',' {
			break
		}
		name, value, after, ok := cutPair(b)
		if !ok {
			return nil, skipElement(b)
		}
		if bytes.EqualFold(name, []byte("for")) {
			node = value
			fors++
		}
		if b = bytes.TrimLeft(after, blanks); len(b) > 0 && b[0] != ';' && b[0] != ',' {
			return nil, skipElement(b)
		}
	}
	if fors != 1 { // RFC 7239, 4: each parameter MUST NOT occur more than once
		return nil, b
	}
	return node, b
}

// skipElement returns what follows a malformed element. If the element has a quote
// in it, it returns nil: what looks like the next element may be inside a string.
func skipElement(b []byte) (rest []byte) {
	if i := bytes.IndexAny(b, `,"`); i >= 0 && b[i] == ',' {
		return b[i:]
	}
	return nil
}

// cutPair takes a name and its value, without the quotes, off b.
func cutPair(b []byte) (name, value, rest []byte, ok bool) {
	n := tokenLength(b)
	if n == 0 || n == len(b) || b[n] != '=' {
		return nil, nil, b, false
	}
	name, b = b[:n], b[n+1:]
	if n = tokenLength(b); n > 0 {
		return name, b[:n], b[n:], true
	}
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, b, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return name, b[1:i], b[i+1:], true
		case '\\':
			i++
		}
	}
	return nil, nil, b, false
}

func tokenLength(b []byte) int {
	n := 0
	for n < len(b) && httptoken.IsByte(b[n]) {
		n++
	}
	return n
}

// parseForwardedNode reads the value of a "for" parameter (RFC 7239, 6):
//
//	node     = nodename [ ":" node-port ]
//	nodename = IPv4address / "[" IPv6address "]" / "unknown" / obfnode
//
// Only an address is accepted.
func parseForwardedNode(node []byte) (netip.AddrPort, bool) {
	if bytes.IndexByte(node, '\\') >= 0 {
		node = unescape(node)
	}
	if i := bytes.LastIndex(node, []byte(":_")); i >= 0 { // an obfuscated port
		if tokenLength(node[i+2:]) < len(node)-i-2 || i+2 == len(node) {
			return netip.AddrPort{}, false
		}
		node = node[:i]
	}
	if bytes.Count(node, []byte{':'}) > 1 && node[0] != '[' { // an IPv6 address must have its brackets
		return netip.AddrPort{}, false
	}
	return parseForwardedFor(node)
}

func unescape(quoted []byte) []byte {
	plain := make([]byte, 0, len(quoted))
	for i := 0; i < len(quoted); i++ {
		if quoted[i] == '\\' {
			i++ // another byte follows: the quote at the end is not escaped
		}
		plain = append(plain, quoted[i])
	}
	return plain
}

// longestNode is a bracketed IPv6 address with an IPv4 tail and a port.
const longestNode = len("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535")

// parseForwardedFor reads an element of X-Forwarded-For, which has no standard:
// an address, with or without a port, an IPv6 address with or without brackets.
func parseForwardedFor(node []byte) (netip.AddrPort, bool) {
	if len(node) == 0 || len(node) > longestNode {
		return netip.AddrPort{}, false
	}
	host, port := string(node), uint64(0)
	if host[0] == '[' || bytes.Count(node, []byte{':'}) == 1 {
		bracket := bytes.IndexByte(node, ']')
		if i := bytes.LastIndexByte(node, ':'); i > bracket {
			var err error
			if port, err = strconv.ParseUint(host[i+1:], 10, 16); err != nil {
				return netip.AddrPort{}, false
			}
			host = host[:i]
		}
		if bracket >= 0 {
			if bracket != len(host)-1 || !strings.Contains(host, ":") {
				return netip.AddrPort{}, false
			}
			host = host[1:bracket]
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}
