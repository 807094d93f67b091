//go:build proxies

package proxies

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// setting is a proxy in front of a gateway, with an app and a wire.
type setting struct {
	app     *app
	gateway *gateway
	wire    *wire
	proxy   *proxy
}

func setUp(t *testing.T, k kind, signIn bool, args ...string) setting {
	t.Helper()
	a := startApp(t)
	g := startGateway(t, harness.Binary(t), a, args...)
	w := layWire(t, g)
	s := setting{a, g, w, startProxy(t, k, w.addr(), g, a, signIn)}
	s.ready(t)
	return s
}

// setUpBare has no wire: where the gateway is away, the proxy is refused.
func setUpBare(t *testing.T, k kind, signIn bool, binary string, args ...string) setting {
	t.Helper()
	a := startApp(t)
	g := startGateway(t, binary, a, args...)
	s := setting{app: a, gateway: g, proxy: startProxy(t, k, g.addr, g, a, signIn)}
	s.ready(t)
	return s
}

// ready waits until the proxy finds its gateway: one that checks it takes a while.
func (s setting) ready(t *testing.T) {
	t.Helper()
	harness.Poll(t, "the proxy to find its gateway", func() bool {
		c, status, _ := ask(t, s.proxy.addr, upgrade("/ws")+s.proxy.kind.signIn("alice")+"\r\n")
		c.Close()
		return status == http.StatusSwitchingProtocols
	})
}

func TestMessagesGoBothWays(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		uri := target()
		c := connect(t, s.proxy.addr, uri, k.signIn("alice"))
		open := s.app.open(t, uri)
		c.say(`{"event":"hello"}`)
		got := s.app.await(t, "the message", func(e event) bool { return e.Action == "message" && e.Conn == open.Conn })
		if string(got.Data) != `{"event":"hello"}` {
			t.Errorf("the app got %s", got.Data)
		}
		if status, answer := s.gateway.call("POST", "/tapr/ws/conn/send", `{"conn_id":"`+open.Conn+`","payload":{"n":1}}`); status != http.StatusOK {
			t.Fatalf("send answered %d %s", status, answer)
		}
		c.expect(`{"n":1}`)
		c.say(`{"event":"ping"}`)
		c.expect(`{"event":"pong"}`)
		c.Close()
		if e := s.app.close(t, open.Conn); e.Code != 1006 || e.Initiator != "network" {
			t.Errorf("a client that hangs up gives close %d by %s", e.Code, e.Initiator)
		}
	})
}

func TestACloseFrameAndItsCodeGoThrough(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		uri := target()
		c := connect(t, s.proxy.addr, uri, k.signIn("alice"))
		open := s.app.open(t, uri)
		s.gateway.call("POST", "/tapr/ws/conn/close", `{"conns":["`+open.Conn+`"],"code":4001,"reason":"bye"}`)
		if first, payload, err := c.hear(); err != nil || first != 0x88 || payload != "\x0f\xa1bye" {
			t.Errorf("the client got %#x %q, error %v", first, payload, err)
		}
	})
}

// spellings are ways in which a client may say who it is.
var spellings = map[string]string{
	"as it is":                 lines("X-Bfl-User: mallory"),
	"lower case":               lines("x-bfl-user: mallory"),
	"upper case":               lines("X-BFL-USER: mallory"),
	"twice":                    lines("X-Bfl-User: mallory", "X-Bfl-User: mallory"),
	"twice, in two cases":      lines("x-bfl-user: mallory", "X-BFL-User: root"),
	"empty":                    lines("X-Bfl-User:"),
	"empty, then not":          lines("X-Bfl-User:", "X-Bfl-User: mallory"),
	"underscores":              lines("X_Bfl_User: mallory"),
	"underscores, upper case":  lines("X_BFL_USER: mallory"),
	"one underscore":           lines("X-Bfl_User: mallory"),
	"the other underscore":     lines("x_bfl-user: mallory"),
	"named in Connection":      lines("X-Bfl-User: mallory", "Connection: X-Bfl-User"),
	"all at once":              lines("X-Bfl-User: mallory", "x-bfl-user: root", "X_Bfl_User: mallory", "X-BFL_USER:", "X_bfl-user: x"),
	"a folded line":            lines("X-Other: a", " X-Bfl-User: mallory"),
	"a blank before the colon": lines("X-Bfl-User : mallory"),
	"a tab behind the colon":   lines("X-Bfl-User:\tmallory"),
}

// mayBeRefused are spellings that are no proper HTTP.
var mayBeRefused = map[string]bool{"a folded line": true, "a blank before the colon": true}

// claim connects in one spelling and returns whom the gateway takes the client
// for, after a look at what the proxy has sent. It reports false where the proxy
// refuses what may be refused.
func (s setting) claim(t *testing.T, spelling, signIn, want string) {
	t.Helper()
	uri := target()
	c, status, body := ask(t, s.proxy.addr, upgrade(uri)+signIn+spellings[spelling]+"\r\n")
	defer c.Close()
	if status == http.StatusBadRequest && mayBeRefused[spelling] {
		return
	}
	if status != http.StatusSwitchingProtocols {
		t.Errorf("answered %d %.200q", status, body)
		return
	}
	if got := s.app.open(t, uri).User; got != want {
		t.Errorf("the gateway takes the client for %q, want %q", got, want)
	}
	arrived := values(s.wire.headOf(t, uri), "x[-_]bfl[-_]user")
	if want != "" && !slices.Equal(arrived, []string{want}) || want == "" && strings.Join(arrived, "") != "" {
		t.Errorf("the proxy has sent the users %q, want %q alone", arrived, want)
	}
}

func TestTheUserIsWhomTheProxyKnowsWhateverTheClientSays(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		for spelling := range spellings {
			t.Run(spelling, func(t *testing.T) { s.claim(t, spelling, k.signIn("alice"), "alice") })
		}
		t.Run("somebody else", func(t *testing.T) { s.claim(t, "as it is", k.signIn("bob"), "bob") })
		if k.asks {
			for spelling := range spellings {
				t.Run("nameless, "+spelling, func(t *testing.T) { s.claim(t, spelling, k.signIn(nameless), "") })
			}
		}
	})
}

func TestWithoutSignInNobodyHasAName(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, false)
		for spelling := range spellings {
			t.Run(spelling, func(t *testing.T) { s.claim(t, spelling, "", "") })
		}
	})
}

func TestWhoDoesNotSignInIsRefusedByTheProxy(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		wrong := map[string]string{"nothing": "", "a name": lines("X-Bfl-User: alice")}
		switch k.language {
		case "haproxy":
			const header, key = `{"alg":"HS256"}`, "the-secret-of-the-tokens"
			soon := time.Now().Add(time.Hour)
			wrong["an old token"] = tokenCookie(header, "alice", time.Now().Add(-time.Minute), key)
			wrong["another key"] = tokenCookie(header, "alice", soon, "guessed")
			wrong["no algorithm"] = tokenCookie(`{"alg":"none"}`, "alice", soon, "")
			wrong["another algorithm"] = tokenCookie(`{"alg":"HS512"}`, "alice", soon, key)
			wrong["no token"] = byCookie("alice")
		case "apache":
			wrong["a wrong password"] = lines("Authorization: Basic YWxpY2U6d3Jvbmc=")
		}
		for name, with := range wrong {
			uri := target()
			if _, status, _ := ask(t, s.proxy.addr, upgrade(uri)+with+"\r\n"); status != http.StatusUnauthorized {
				t.Errorf("%s: answered %d", name, status)
			}
		}
		for _, head := range s.wire.recorded() {
			if targetOf(head) != "/ws" { // which ready has asked for, with all that is needed
				t.Errorf("a request came through: %.100q", head)
			}
		}
	})
}

func TestTheGatewayLearnsTheClientsAddressAndTheHost(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true, "--allowed-origins", "https://"+siteName)
		for name, with := range map[string]string{
			"nothing":             "",
			"X-Forwarded-For":     lines("X-Forwarded-For: 9.9.9.9"),
			"its own proxy":       lines("X-Forwarded-For: 9.9.9.9, 127.0.0.1"),
			"Forwarded":           lines("Forwarded: for=9.9.9.9"),
			"both":                lines("Forwarded: for=9.9.9.9", "x-forwarded-for: 9.9.9.9", "X-Forwarded-For: 8.8.8.8"),
			"named in Connection": lines("X-Forwarded-For: 9.9.9.9", "Connection: X-Forwarded-For, Forwarded, Host, Origin"),
		} {
			t.Run(name, func(t *testing.T) {
				uri := target()
				connect(t, s.proxy.addr, uri, k.signIn("alice")+lines("Origin: https://"+siteName)+with)
				if got := s.app.open(t, uri).Request; got.Remote != clientAddr || got.Origin != "https://"+siteName {
					t.Errorf("the gateway knows the client as %s from %q", got.Remote, got.Origin)
				}
				// Apache adds to what it is given, and the gateway would still find the right
				// one; but nothing of the client's is to arrive.
				if got := values(s.wire.headOf(t, uri), "x[-_]forwarded[-_]for|forwarded"); !slices.Equal(got, []string{clientAddr}) {
					t.Errorf("the proxy says that it speaks for %q", got)
				}
				if got := values(s.wire.headOf(t, uri), "host"); !slices.Equal(got, []string{siteName}) {
					t.Errorf("Host is %q, want %s", got, siteName)
				}
			})
		}
		if _, status, _ := ask(t, s.proxy.addr, upgrade(target())+k.signIn("alice")+"Origin: https://evil.example\r\n\r\n"); status != http.StatusForbidden {
			t.Errorf("a foreign origin was answered %d", status)
		}
	})
}

func TestARequestThatIsNoUpgradeIsAnsweredByTheGateway(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		_, status, _ := ask(t, s.proxy.addr, "GET /ws HTTP/1.1\r\nHost: "+siteName+"\r\nConnection: close\r\n"+k.signIn("alice")+"\r\n")
		if status != http.StatusUpgradeRequired && status != http.StatusBadRequest {
			t.Errorf("answered %d", status)
		}
	})
}
