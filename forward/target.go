package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is where events are POSTed to.
type target struct {
	address string // host:port to connect to
	head    string // request line and the header fields that are always the same
	name    string // the URL for logs: without the query, which may hold a token
}

const userAgent = "ws-gateway"

// parseTarget reads a callback URL.
func parseTarget(raw string) (target, error) {
	if raw == "" {
		return target{}, errors.New("callback URL is missing: want http://host:port/path")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("callback URL: %w", err)
	}
	if reason := unsupported(u); reason != "" {
		return target{}, fmt.Errorf("callback URL %q: %s: want http://host:port/path", u.Redacted(), reason)
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "80"
	}
	return target{
		address: net.JoinHostPort(host, port),
		head: "POST " + u.RequestURI() + " HTTP/1.1\r\n" +
			"Host: " + hostField(u) + "\r\n" +
			"User-Agent: " + userAgent + "\r\n" +
			"Content-Type: application/json\r\n",
		name: u.Scheme + "://" + u.Host + u.EscapedPath(),
	}, nil
}

// unsupported says what is wrong with u; "" for nothing.
func unsupported(u *url.URL) string {
	switch {
	case u.Scheme == "":
		return "no scheme"
	case u.Scheme != "http":
		return "scheme " + u.Scheme + " is not supported, only http is"
	case u.Opaque != "" || u.Hostname() == "":
		return "no host"
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

// dialFunc makes a connection to the app.
type dialFunc func(ctx context.Context) (net.Conn, error)

// dialer resolves the name anew for each connection.
func (t target) dialer() dialFunc {
	var d net.Dialer
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", t.address) }
}
