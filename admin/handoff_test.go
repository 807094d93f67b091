package admin

import (
	"net/netip"
	"testing"
)

func TestHandOffLetsThroughOnlyWhoCouldBeAnswered(t *testing.T) {
	for _, c := range []struct {
		peer, path       string
		bare, underToken bool
	}{
		{"127.0.0.1:1", "/tapr/ws/conn/send", true, true},
		{"127.9.9.9:1", "/anything", true, true},
		{"[::1]:1", "/metrics", true, true},
		{"[::ffff:127.0.0.1]:1", "/metrics", true, true},
		{"192.0.2.1:1", "/tapr/ws/conn/send", false, true},
		{"192.0.2.1:1", "/metrics", false, true},
		{"[::ffff:192.0.2.1]:1", "/metrics", false, true},
		{"[2001:db8::1]:1", "/", false, true},
		{"192.0.2.1:1", "/healthz", true, true},
		{"192.0.2.1:1", "/Healthz/", true, true},
		{"192.0.2.1:1", "/readyz", true, true},
		{"192.0.2.1:1", "/healthz/../metrics", false, true},
	} {
		peer := netip.MustParseAddrPort(c.peer)
		if got := HandOff(func() bool { return false })(peer, []byte(c.path)); got != c.bare {
			t.Errorf("without a token, %s %s: %v", c.peer, c.path, got)
		}
		if got := HandOff(func() bool { return true })(peer, []byte(c.path)); got != c.underToken {
			t.Errorf("with a token, %s %s: %v", c.peer, c.path, got)
		}
	}
}
