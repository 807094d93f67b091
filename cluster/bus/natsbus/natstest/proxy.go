package natstest

import (
	"net/netip"
	"strings"
	"testing"

	"ws-gateway/badlink"
)

// Proxy stands between clients and a server, and misbehaves when it is told to.
type Proxy struct{ *badlink.Link }

// StartProxy starts a proxy to a server, which ends with the test.
func StartProxy(tb testing.TB, s *Server) Proxy {
	tb.Helper()
	target, err := netip.ParseAddrPort(strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		tb.Fatal(err)
	}
	link, err := badlink.New(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(link.Close)
	return Proxy{link}
}

// URL is where clients connect.
func (p Proxy) URL() string { return "nats://" + p.Addr() }
