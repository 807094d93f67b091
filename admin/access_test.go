package admin

import (
	"bufio"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// head parses a request head with the given lines after its request line.
func head(t *testing.T, lines ...string) *fasthttp.RequestHeader {
	t.Helper()
	h := new(fasthttp.RequestHeader)
	raw := "GET /tapr/ws/conn/list HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	if err := h.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		t.Fatalf("parsing %q: %v", raw, err)
	}
	return h
}

func newTestGuard(t *testing.T, token string) *guard {
	t.Helper()
	g, err := newGuard(&Config{Token: token, UserHeader: "X-Bfl-User"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWithoutATokenOnlyTheAppBesideUsIsAnswered(t *testing.T) {
	const host = "Host: localhost:40010"
	g := newTestGuard(t, "")
	for _, c := range []struct {
		name  string
		from  peer
		lines []string
		why   string // "" allows
	}{
		{"loopback", loopbackPeer, []string{host}, ""},
		{"loopback with ordinary headers", loopbackPeer, []string{host, "User-Agent: curl/8", "Accept: */*", "Cookie: a=b", "Content-Type: application/json", "Authorization: Bearer x", "Connection: keep-alive"}, ""},
		{"unix socket", unixPeer, []string{host}, ""},
		{"another host", remotePeer, []string{host}, "over loopback"},

		{"X-Forwarded-For", loopbackPeer, []string{host, "X-Forwarded-For: 203.0.113.7"}, "X-Forwarded-*"},
		{"X-Forwarded-For in other letters", loopbackPeer, []string{host, "x-FORWARDED-for: 203.0.113.7"}, "X-Forwarded-*"},
		{"empty X-Forwarded-For", loopbackPeer, []string{host, "X-Forwarded-For:"}, "X-Forwarded-*"},
		{"X-Forwarded-Host", loopbackPeer, []string{host, "X-Forwarded-Host: example.org"}, "X-Forwarded-*"},
		{"X-Forwarded-Proto", loopbackPeer, []string{host, "X-Forwarded-Proto: https"}, "X-Forwarded-*"},
		{"Forwarded", loopbackPeer, []string{host, "Forwarded: for=203.0.113.7"}, "Forwarded"},
		{"X-Real-Ip", loopbackPeer, []string{host, "X-Real-IP: 203.0.113.7"}, "X-Real-Ip"},
		{"Via", loopbackPeer, []string{host, "Via: 1.1 proxy"}, "Via"},
		{"user header", loopbackPeer, []string{host, "X-BFL-USER: alice"}, "X-Bfl-User"},
		{"empty user header", loopbackPeer, []string{host, "x-bfl-user:"}, "X-Bfl-User"},
		{"forwarded to a unix socket", unixPeer, []string{host, "X-Forwarded-For: 203.0.113.7"}, "X-Forwarded-*"},

		{"Origin", loopbackPeer, []string{host, "Origin: https://example.org"}, "Origin"},
		{"Origin null", loopbackPeer, []string{host, "Origin: null"}, "Origin"},
		{"empty Origin", loopbackPeer, []string{host, "Origin:"}, "Origin"},
		{"Origin at a unix socket", unixPeer, []string{host, "Origin: https://example.org"}, "Origin"},

		{"Host localhost", loopbackPeer, []string{"Host: localhost"}, ""},
		{"Host LocalHost and port", loopbackPeer, []string{"Host: LocalHost:1"}, ""},
		{"Host localhost and any port", loopbackPeer, []string{"Host: localhost:65535"}, ""},
		{"Host localhost and empty port", loopbackPeer, []string{"Host: localhost:"}, ""},
		{"Host localhost as an absolute name", loopbackPeer, []string{"Host: localhost.:40010"}, ""},
		{"Host IPv4", loopbackPeer, []string{"Host: 127.0.0.1"}, ""},
		{"Host IPv4 and port", loopbackPeer, []string{"Host: 10.1.2.3:40010"}, ""},
		{"Host IPv6", loopbackPeer, []string{"Host: [::1]"}, ""},
		{"Host IPv6 and port", loopbackPeer, []string{"Host: [2001:db8::1]:40010"}, ""},
		{"Host a name", loopbackPeer, []string{"Host: example.org"}, "Host"},
		{"Host a name and port", loopbackPeer, []string{"Host: example.org:40010"}, "Host"},
		{"Host below localhost", loopbackPeer, []string{"Host: a.localhost"}, "Host"},
		{"Host beginning with localhost", loopbackPeer, []string{"Host: localhost.example.org"}, "Host"},
		{"Host beginning with an address", loopbackPeer, []string{"Host: 127.0.0.1.example.org"}, "Host"},
		{"Host an abbreviated address", loopbackPeer, []string{"Host: 127.1"}, "Host"},
		{"Host a number", loopbackPeer, []string{"Host: 2130706433"}, "Host"},
		{"Host localhost and a port that is none", loopbackPeer, []string{"Host: localhost:x.example.org"}, "Host"},
		{"Host only a port", loopbackPeer, []string{"Host: :40010"}, "Host"},
		{"Host brackets around a name", loopbackPeer, []string{"Host: [localhost]"}, "Host"},
		{"Host brackets around IPv4", loopbackPeer, []string{"Host: [127.0.0.1]"}, "Host"},
		{"Host folding to localhost", loopbackPeer, []string{"Host: localhoſt"}, "Host"},
		{"Host any name at a unix socket", unixPeer, []string{"Host: gateway"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			no := g.check(head(t, c.lines...), c.from, routeNamed("list"))
			if c.why == "" {
				if no.status != 0 {
					t.Fatalf("refused with %d %q", no.status, no.why)
				}
				return
			}
			if no.status != 403 || !strings.Contains(no.why, c.why) {
				t.Fatalf("got %d %q, want 403 with %q", no.status, no.why, c.why)
			}
			if strings.Contains(no.why, "\n") || !strings.Contains(no.why, "admin token") {
				t.Fatalf("%q is not one line that says what to do", no.why)
			}
		})
	}
}

func TestAnHTTP10RequestNeedsNoHost(t *testing.T) {
	g := newTestGuard(t, "")
	h := new(fasthttp.RequestHeader)
	if err := h.Read(bufio.NewReader(strings.NewReader("GET / HTTP/1.0\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	if no := g.check(h, loopbackPeer, routeNamed("list")); no.status != 0 {
		t.Fatalf("refused: %v", no)
	}
}

func TestWithATokenItIsTheOnlyRule(t *testing.T) {
	const token = "s3cret-Token_42"
	g := newTestGuard(t, token)
	for _, c := range []struct {
		name    string
		lines   []string
		allowed bool
	}{
		{"right", []string{"Authorization: Bearer " + token}, true},
		{"right, scheme in other letters", []string{"Authorization: bEARER " + token}, true},
		{"right, through a proxy and by name", []string{"Authorization: Bearer " + token, "X-Forwarded-For: 203.0.113.7", "Origin: https://example.org"}, true},
		{"none", nil, false},
		{"empty", []string{"Authorization:"}, false},
		{"scheme alone", []string{"Authorization: Bearer"}, false},
		{"scheme and blank", []string{"Authorization: Bearer "}, false},
		{"wrong", []string{"Authorization: Bearer s3cret-Token_43"}, false},
		{"too short", []string{"Authorization: Bearer s3cret-Token_4"}, false},
		{"too long", []string{"Authorization: Bearer " + token + "2"}, false},
		{"other letters", []string{"Authorization: Bearer S3CRET-TOKEN_42"}, false},
		{"another scheme", []string{"Authorization: Basic " + token}, false},
		{"no scheme", []string{"Authorization: " + token}, false},
		{"in another header", []string{"X-Token: " + token}, false},
	} {
		for _, from := range []peer{loopbackPeer, unixPeer, remotePeer} {
			no := g.check(head(t, append([]string{"Host: example.org"}, c.lines...)...), from, routeNamed("list"))
			if c.allowed != (no.status == 0) {
				t.Errorf("%s, peer %d: got %v", c.name, from, no)
			}
			if !c.allowed && no.status != 401 {
				t.Errorf("%s: status %d, want 401", c.name, no.status)
			}
		}
	}
}

func TestATokenThatNoHeaderCanCarryIsAnError(t *testing.T) {
	for _, token := range []string{"two words", "line\n", "täken", "tab\t", "\x00"} {
		if _, err := newGuard(&Config{Token: token, UserHeader: "X-Bfl-User"}); err == nil {
			t.Errorf("token %q was taken", token)
		}
	}
}

func TestPeersAreToldApart(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want peer
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, loopbackPeer},
		{&net.TCPAddr{IP: net.IPv4(127, 255, 255, 254), Port: 1}, loopbackPeer},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1"), Port: 1}, loopbackPeer},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 1}, loopbackPeer},
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, remotePeer},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}, remotePeer},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 1}, remotePeer},
		{&net.TCPAddr{}, remotePeer},
		{&net.UDPAddr{IP: net.IPv6loopback}, remotePeer},
		{&net.UnixAddr{Net: "unix"}, unixPeer},
		{nil, remotePeer},
	} {
		if got := peerOf(c.addr); got != c.want {
			t.Errorf("peerOf(%v) = %d, want %d", c.addr, got, c.want)
		}
	}
}

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
