package wire

import (
	"bytes"
	"net/http"
)

// If a client does not speak HTTP/1.1, it mostly speaks one of a few protocols that a
// proxy in front was told to speak. Their first bytes are known, and the response
// says which protocol it was and what to change.

var (
	// The signatures of the PROXY protocol's two versions.
	proxyV1 = []byte("PROXY ")
	proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

	preface = []byte("PRI * HTTP/2.0") // RFC 9113, 3.4
)

const tlsHandshake = 0x16

var (
	errProxyProtocol = badRequest("PROXY protocol is not spoken here: turn it off in the load balancer in front (send-proxy, proxy_protocol); " +
		"an HTTP proxy can name clients in X-Forwarded-For, see --trusted-proxies")
	errTLS   = badRequest("this port speaks plain HTTP; TLS must end in front of it: use http:// or ws:// here")
	errHTTP2 = &HandshakeError{
		Status: http.StatusHTTPVersionNotSupported,
		Text:   "HTTP/2 is not spoken here, this server speaks HTTP/1.1: set whatever is in front to HTTP/1.1 for this upstream (no h2c)",
	}
)

// Mistaken looks at the first bytes of a connection, at least one, and returns an
// error if it knows them for another protocol than HTTP/1.1.
func Mistaken(b []byte) *HandshakeError {
	switch b[0] {
	case tlsHandshake:
		return errTLS
	case 'P':
		if bytes.HasPrefix(b, preface) {
			return errHTTP2
		}
		if rest, ok := bytes.CutPrefix(b, proxyV1); ok && isProxyFamily(rest) {
			return errProxyProtocol
		}
	case '\r':
		// Up to the NUL it could be empty lines.
		n := min(len(b), len(proxyV2))
		if n > bytes.IndexByte(proxyV2, 0) && bytes.Equal(b[:n], proxyV2[:n]) {
			return errProxyProtocol
		}
	}
	return nil
}

// isProxyFamily reports whether b begins like the address family in a line of version
// 1; no request target does.
func isProxyFamily(b []byte) bool {
	for _, family := range [...]string{"TCP4", "TCP6", "UNKNOWN"} {
		if bytes.HasPrefix(b, []byte(family)) {
			return true
		}
	}
	return false
}
