package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Target is where events are POSTed to.
type Target struct {
	network string // tcp or unix
	address string // host:port or path to connect to
	secure  bool   // TLS
	server  string // the name that the certificate must have, with secure
	head    string // request line and the header fields that are always the same
	Name    string // the URL for logs: without the query, which may hold a token
}

const (
	userAgent  = "ws-gateway"
	wantTarget = "want http://host:port/path, https://host/path or unix:/socket:/path"
)

// CheckURL says what is wrong with a callback URL; nil for nothing.
func CheckURL(raw string) error {
	_, err := ParseTarget(raw)
	return err
}

// ParseTarget reads a callback URL: http, https, or unix:/socket:/path. The path of
// the socket ends at the next colon, the rest is the request's path, / if there is none.
func ParseTarget(raw string) (Target, error) {
	if raw == "" {
		return Target{}, errors.New("callback URL is missing: " + wantTarget)
	}
	if socket, found := strings.CutPrefix(raw, "unix:"); found {
		return parseSocket(socket)
	}
	u, err := url.Parse(raw)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err // without the URL, which may hold a token
		}
		return Target{}, fmt.Errorf("callback URL: %w: %s", err, wantTarget)
	}
	if reason := unsupported(u); reason != "" {
		return Target{}, fmt.Errorf("callback URL %q: %s: %s", u.Redacted(), reason, wantTarget)
	}
	host, port := u.Hostname(), u.Port()
	secure := u.Scheme == "https"
	switch {
	case port != "":
	case secure:
		port = "443"
	default:
		port = "80"
	}
	return Target{
		network: "tcp",
		address: net.JoinHostPort(host, port),
		secure:  secure,
		server:  host,
		head:    head(requestURI(u), hostField(u)),
		Name:    u.Scheme + "://" + u.Host + u.EscapedPath(),
	}, nil
}

// parseSocket reads what follows unix: in a callback URL.
func parseSocket(raw string) (Target, error) {
	socket, path, found := strings.Cut(raw, ":")
	if !found {
		path = "/"
	}
	// Whether it is a path that can be asked for is for the URL parser to say.
	u, err := url.Parse("http://localhost" + path)
	switch {
	case !strings.HasPrefix(socket, "/") || len(socket) > maxSocketPath || strings.ContainsRune(socket, 0):
		return Target{}, fmt.Errorf("callback URL %q: the socket's path does not begin with / or has over %d bytes: %s", "unix:"+raw, maxSocketPath, wantTarget)
	case err != nil || !strings.HasPrefix(path, "/") || u.Fragment != "":
		return Target{}, fmt.Errorf("callback URL %q: what follows the socket is not a path: %s", "unix:"+raw, wantTarget)
	}
	return Target{
		network: "unix",
		address: socket,
		head:    head(requestURI(u), "localhost"),
		Name:    "unix:" + socket + ":" + u.EscapedPath(),
	}, nil
}

// requestURI is the path and query to ask for. The URL parser escapes what a path
// cannot hold, and leaves a query as it was written.
func requestURI(u *url.URL) string {
	escaped := *u
	escaped.RawQuery = escapeQuery(u.RawQuery)
	return escaped.RequestURI()
}

// escapeQuery escapes what a query cannot hold (RFC 3986, section 3.4): a blank
// would end the request's target. What is escaped already stays.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		switch c := query[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/?", c) >= 0,
			c == '%' && len(query) > i+2 && isHex(query[i+1]) && isHex(query[i+2]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// AddField adds a header field to all POSTs. Characters that would end its line are
// replaced with blanks.
func (t *Target) AddField(name, value string) {
	t.head = string(appendField([]byte(t.head), name+": ", value))
}

const maxSocketPath = 107 // what a unix(7) address holds

func head(uri, host string) string {
	return "POST " + uri + " HTTP/1.1\r\n" +
		"Host: " + host + "\r\n" +
		"User-Agent: " + userAgent + "\r\n" +
		"Content-Type: application/json\r\n"
}

// unsupported says what is wrong with u; "" for nothing.
func unsupported(u *url.URL) string {
	switch {
	case u.Scheme == "":
		return "no scheme"
	case u.Scheme != "http" && u.Scheme != "https":
		return "scheme " + u.Scheme + " is not supported"
	case u.Opaque != "" || u.Hostname() == "":
		return "no host"
	case badPort(u.Port()):
		return "the port is not from 1 to 65535"
	case u.User != nil:
		return "a user and password are not supported"
	case u.Fragment != "":
		return "a fragment (#) is never sent"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "the host has characters that a Host header cannot carry"
	default:
		return ""
	}
}

// badPort reports whether port, which is digits or absent, cannot be connected to.
func badPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port != "" && (err != nil || n == 0)
}

// hostField is the Host header's value: a zone means nothing to the other side.
func hostField(u *url.URL) string {
	host, _, zoned := strings.Cut(u.Hostname(), "%")
	if !zoned {
		return u.Host
	}
	if u.Port() == "" {
		return "[" + host + "]"
	}
	return net.JoinHostPort(host, u.Port())
}

// DialFunc makes a connection to the app.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Dialer resolves the name again for each connection.
func (t Target) Dialer() DialFunc { return t.dialerWith(new(net.Dialer)) }

func (t Target) dialerWith(d *net.Dialer) DialFunc {
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, t.network, t.address) }
}

// TLSConfig is what connections to the target are secured with, made of what was
// configured, which may be nil. It is nil if they are not secured.
func (t Target) TLSConfig(configured *tls.Config) *tls.Config {
	if !t.secure {
		return nil
	}
	c := new(tls.Config)
	if configured != nil {
		c = configured.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = t.server
	}
	c.NextProtos = []string{"http/1.1"}
	c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	return c
}
