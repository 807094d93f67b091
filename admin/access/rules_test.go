package access

import (
	"bufio"
	"net"
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

func newTestRules(t *testing.T, token string) *Rules {
	t.Helper()
	g, err := New(Config{Token: token, UserHeader: "X-Bfl-User"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWithoutATokenOnlyTheAppBesideUsIsAnswered(t *testing.T) {
	const host = "Host: localhost:40010"
	g := newTestRules(t, "")
	for _, c := range []struct {
		name  string
		from  Place
		lines []string
		why   string // "" allows
	}{
		{"loopback", Loopback, []string{host}, ""},
		{"loopback with ordinary headers", Loopback, []string{host, "User-Agent: curl/8", "Accept: */*", "Cookie: a=b", "Content-Type: application/json", "Authorization: Bearer x", "Connection: keep-alive"}, ""},
		{"unix socket", Unix, []string{host}, ""},
		{"another host", Remote, []string{host}, "over loopback"},

		{"X-Forwarded-For", Loopback, []string{host, "X-Forwarded-For: 203.0.113.7"}, "X-Forwarded-*"},
		{"X-Forwarded-For in other letters", Loopback, []string{host, "x-FORWARDED-for: 203.0.113.7"}, "X-Forwarded-*"},
		{"empty X-Forwarded-For", Loopback, []string{host, "X-Forwarded-For:"}, "X-Forwarded-*"},
		{"X-Forwarded-Host", Loopback, []string{host, "X-Forwarded-Host: example.org"}, "X-Forwarded-*"},
		{"X-Forwarded-Proto", Loopback, []string{host, "X-Forwarded-Proto: https"}, "X-Forwarded-*"},
		{"Forwarded", Loopback, []string{host, "Forwarded: for=203.0.113.7"}, "Forwarded"},
		{"X-Real-Ip", Loopback, []string{host, "X-Real-IP: 203.0.113.7"}, "X-Real-Ip"},
		{"Via", Loopback, []string{host, "Via: 1.1 proxy"}, "Via"},
		{"user header", Loopback, []string{host, "X-BFL-USER: alice"}, "X-Bfl-User"},
		{"empty user header", Loopback, []string{host, "x-bfl-user:"}, "X-Bfl-User"},
		{"forwarded to a unix socket", Unix, []string{host, "X-Forwarded-For: 203.0.113.7"}, "X-Forwarded-*"},

		{"Origin", Loopback, []string{host, "Origin: https://example.org"}, "Origin"},
		{"Origin null", Loopback, []string{host, "Origin: null"}, "Origin"},
		{"empty Origin", Loopback, []string{host, "Origin:"}, "Origin"},
		{"Origin at a unix socket", Unix, []string{host, "Origin: https://example.org"}, "Origin"},

		{"Host localhost", Loopback, []string{"Host: localhost"}, ""},
		{"Host LocalHost and port", Loopback, []string{"Host: LocalHost:1"}, ""},
		{"Host localhost and any port", Loopback, []string{"Host: localhost:65535"}, ""},
		{"Host localhost and empty port", Loopback, []string{"Host: localhost:"}, ""},
		{"Host localhost as an absolute name", Loopback, []string{"Host: localhost.:40010"}, ""},
		{"Host IPv4", Loopback, []string{"Host: 127.0.0.1"}, ""},
		{"Host IPv4 and port", Loopback, []string{"Host: 10.1.2.3:40010"}, ""},
		{"Host IPv6", Loopback, []string{"Host: [::1]"}, ""},
		{"Host IPv6 and port", Loopback, []string{"Host: [2001:db8::1]:40010"}, ""},
		{"Host a name", Loopback, []string{"Host: example.org"}, "Host"},
		{"Host a name and port", Loopback, []string{"Host: example.org:40010"}, "Host"},
		{"Host below localhost", Loopback, []string{"Host: a.localhost"}, "Host"},
		{"Host beginning with localhost", Loopback, []string{"Host: localhost.example.org"}, "Host"},
		{"Host beginning with an address", Loopback, []string{"Host: 127.0.0.1.example.org"}, "Host"},
		{"Host an abbreviated address", Loopback, []string{"Host: 127.1"}, "Host"},
		{"Host a number", Loopback, []string{"Host: 2130706433"}, "Host"},
		{"Host localhost and a port that is none", Loopback, []string{"Host: localhost:x.example.org"}, "Host"},
		{"Host only a port", Loopback, []string{"Host: :40010"}, "Host"},
		{"Host brackets around a name", Loopback, []string{"Host: [localhost]"}, "Host"},
		{"Host brackets around IPv4", Loopback, []string{"Host: [127.0.0.1]"}, "Host"},
		{"Host folding to localhost", Loopback, []string{"Host: localhoſt"}, "Host"},
		{"Host any name at a unix socket", Unix, []string{"Host: gateway"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			no := g.Check(head(t, c.lines...), c.from, Managers)
			if c.why == "" {
				if no.Status != 0 {
					t.Fatalf("refused with %d %q", no.Status, no.Why)
				}
				return
			}
			if no.Status != 403 || !strings.Contains(no.Why, c.why) {
				t.Fatalf("got %d %q, want 403 with %q", no.Status, no.Why, c.why)
			}
			if strings.Contains(no.Why, "\n") || !strings.Contains(no.Why, "admin token") {
				t.Fatalf("%q is not one line that says what to do", no.Why)
			}
		})
	}
}

func TestAnHTTP10RequestNeedsNoHost(t *testing.T) {
	g := newTestRules(t, "")
	h := new(fasthttp.RequestHeader)
	if err := h.Read(bufio.NewReader(strings.NewReader("GET / HTTP/1.0\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	if no := g.Check(h, Loopback, Managers); no.Status != 0 {
		t.Fatalf("refused: %v", no)
	}
}

func TestWithATokenItIsTheOnlyRule(t *testing.T) {
	const token = "s3cret-Token_42"
	g := newTestRules(t, token)
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
		for _, from := range []Place{Loopback, Unix, Remote} {
			no := g.Check(head(t, append([]string{"Host: example.org"}, c.lines...)...), from, Managers)
			if c.allowed != (no.Status == 0) {
				t.Errorf("%s, peer %d: got %v", c.name, from, no)
			}
			if !c.allowed && no.Status != 401 {
				t.Errorf("%s: status %d, want 401", c.name, no.Status)
			}
		}
	}
}

func TestATokenThatNoHeaderCanCarryIsAnError(t *testing.T) {
	for _, token := range []string{"two words", "line\n", "täken", "tab\t", "\x00"} {
		if _, err := New(Config{Token: token, UserHeader: "X-Bfl-User"}); err == nil {
			t.Errorf("token %q was taken", token)
		}
	}
}

func TestPeersAreToldApart(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want Place
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Loopback},
		{&net.TCPAddr{IP: net.IPv4(127, 255, 255, 254), Port: 1}, Loopback},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1"), Port: 1}, Loopback},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 1}, Loopback},
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, Remote},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}, Remote},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 1}, Remote},
		{&net.TCPAddr{}, Remote},
		{&net.UDPAddr{IP: net.IPv6loopback}, Remote},
		{&net.UnixAddr{Net: "unix"}, Unix},
		{nil, Remote},
	} {
		if got := PeerOf(c.addr).Place; got != c.want {
			t.Errorf("PeerOf(%v) = %d, want %d", c.addr, got, c.want)
		}
	}
}
