package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// steered is a gateway whose configuration file the test changes.
type steered struct {
	*gateway
	file      string
	seen      int // lines of the log that earlier reloads have ended with
	always    string
	unhurried bool // without a ping timeout of the test's own it is long
}

// steer starts a gateway with a configuration file that has these lines, besides
// what it needs to start.
func steer(t testing.TB, a *app, lines ...string) *steered {
	t.Helper()
	s := &steered{always: "listen: 127.0.0.1:0\ndrain-period: 0s\n", unhurried: true}
	if a != nil {
		s.always += "callback-url: " + a.url() + "\n"
	} else {
		s.always += "no-callback: true\n"
	}
	s.file = harness.WriteFile(t, "gateway.yaml", s.content(lines))
	s.gateway = launch{args: []string{"--config", s.file}}.run(t)
	ready, ok := s.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" })
	if !ok {
		t.Fatal("the gateway did not get ready")
	}
	s.Addr = ready.Text("listen")
	return s
}

// put puts another configuration file in the place of the one before.
func (s *steered) put(lines ...string) {
	s.T.Helper()
	replaceFile(s.T, s.file, s.content(lines))
}

// content is a file with these lines. A client whose test did not get a processor for a
// while must not be taken for dead.
func (s *steered) content(lines []string) string {
	all := s.always + strings.Join(lines, "\n")
	if s.unhurried && !strings.Contains(all, "ping-timeout:") {
		all = "ping-timeout: 10m\n" + all
	}
	return all
}

// replaceFile does so at once: nobody reads half of it.
func replaceFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// outcome tells the lines that a reload ends with.
func outcome(l logLine) bool {
	m := l.Text("message")
	return m == "SIGHUP: reloaded" || m == "SIGHUP: nothing has changed that can be reloaded" || strings.HasPrefix(m, "SIGHUP: the configuration is wrong")
}

// hangUp sends SIGHUP and returns the line with which the reload ends.
func (s *steered) hangUp() (end logLine) {
	s.T.Helper()
	s.Signal(syscall.SIGHUP)
	s.seen++
	n := 0
	end, ok := s.Log.Await(harness.Patience, func(l logLine) bool {
		if outcome(l) {
			n++
		}
		return n == s.seen
	})
	if !ok {
		s.T.Fatalf("reload %d does not end", s.seen)
	}
	return end
}

// reload puts lines into force: exactly these options change.
func (s *steered) reload(lines []string, changed ...string) {
	s.T.Helper()
	s.put(lines...)
	end := s.hangUp()
	if got := texts(end, "changed"); end.Text("message") != "SIGHUP: reloaded" || !slices.Equal(got, changed) {
		s.T.Fatalf("want %v reloaded, got %s", changed, end.Raw)
	}
}

// texts is a field of l that is a list.
func texts(l logLine, field string) (texts []string) {
	list, _ := l.Fields[field].([]any)
	for _, v := range list {
		texts = append(texts, fmt.Sprint(v))
	}
	return texts
}

// documented is a line of the table of options in docs/configuration.md.
type documented struct{ option, standard, bounds, reload string }

func documentedOptions(t *testing.T) (all []documented) {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\| .* \\| ([^|]*) \\| (yes|restart) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		all = append(all, documented{m[1], m[2], strings.TrimSpace(m[3]), m[4]})
	}
	if len(all) < 70 {
		t.Fatalf("%d options are documented", len(all))
	}
	return all
}

// other is another value for an option of which the default says what it may be;
// "" where it does not.
func (d documented) other() string {
	if d.standard == "false" {
		return "true"
	}
	var n int
	var unit string
	if choices := strings.Fields(strings.ReplaceAll(d.bounds, "`", " ")); strings.HasPrefix(d.bounds, "`") {
		for _, choice := range choices {
			if choice != d.standard {
				return choice
			}
		}
	}
	if _, err := fmt.Sscanf(d.standard+" ", "%d%s", &n, &unit); n == 0 && err != nil && d.standard != "0" {
		return ""
	}
	if n > 1 {
		return fmt.Sprint(n-1, unit)
	}
	return fmt.Sprint(n+1, unit)
}

// Of the options that are said to be reloaded each is, by the program's own account,
// and each of the others is named as needing a restart.
func TestEveryOptionIsReloadedOrNamedAsNeedingARestartAsTheDocumentsSay(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	pem, err := os.ReadFile("testdata/tls/client.pem")
	if err != nil {
		t.Fatal(err)
	}
	cert := harness.WriteFile(t, "client.pem", string(pem))
	values := map[string]string{ // where the default does not say what it can be
		"path": "/other", "user-header": "X-Who", "allowed-origins": "https://a.example.org", "trusted-proxies": "10.0.0.0/8",
		"subprotocols": "chat", "accept-rate": "1000", "callback-url": app.url() + "?other", "manifest": "nowhere.yaml",
		"dead-letter": filepath.Join(t.TempDir(), "letters"), "journal": filepath.Join(t.TempDir(), "journal"), "resume-state": filepath.Join(t.TempDir(), "sessions"),
		"callback-header": "'X-Key: 1'", "forward-header": "X-Room", "callback-ca": cert, "callback-cert": cert, "callback-key": cert,
		"callback-secret": "a-secret", "callback-secret-file": harness.WriteFile(t, "secrets", "a-secret\n"),
		"admin-listen": "127.0.0.1:0", "metrics-listen": "127.0.0.1:0", "admin-token": "a-good-token", "admin-token-file": harness.WriteFile(t, "token", "a-good-token\n"),
		"shutdown-timeout": "31s", "listen": "127.0.0.2:0", "drain-period": "1s", "socket-buffer": "64KiB",
		"cluster": "nats://127.0.0.1:1", "cluster-app": "chat", "cluster-name": "b", "cluster-creds": "none", "cluster-nkey": "none", "cluster-token-file": "none",
		"cluster-ca": "none", "cluster-cert": "none", "cluster-key": "none",
	}
	beside := map[string]string{"callback-key": "callback-cert: " + cert, "cluster": "cluster-app: chat"}
	s := steer(t, app)
	c := s.Dial(t, "alice")
	conn := app.opened("alice")
	for _, d := range documentedOptions(t) {
		if err := pingWhileReading(c); err != nil { // however long all of this takes
			t.Fatal(err)
		}
		if d.option == "no-callback" || d.option == "app-listen" { // see below; of the demo alone
			continue
		}
		value, ok := values[d.option]
		if !ok {
			value = d.other()
		}
		if value == "" {
			t.Errorf("--%s: give another value for it here", d.option)
			continue
		}
		lines := []string{beside[d.option], d.option + ": " + value}
		s.put(lines[:1]...)
		s.hangUp()
		always := s.always
		if d.option == "callback-url" || d.option == "listen" || d.option == "drain-period" {
			s.always = strings.ReplaceAll(s.always, d.option+":", "#")
		}
		before := len(s.Log.All())
		s.put(lines...)
		s.always = always
		end := s.hangUp()
		warned := slices.ContainsFunc(s.Log.All()[before:], func(l logLine) bool {
			named := []string{d.option}
			if d.option == "cluster" {
				named = append(named, "cluster-app") // it needs that, which differs too
			}
			return l.Text("level") == "warn" && slices.Equal(texts(l, "options"), named)
		})
		reloaded := end.Text("message") == "SIGHUP: reloaded" && slices.Equal(texts(end, "changed"), []string{d.option})
		if want := d.reload == "yes"; reloaded != want || warned == want {
			t.Errorf("--%s %s is documented as %q: %s", d.option, value, d.reload, end.Raw)
		}
		shown := s.get("/tapr/ws/config", "Authorization: Bearer a-good-token").body
		if pending := strings.Contains(shown, "needs a restart"); pending == (d.reload == "yes") {
			t.Errorf("--%s: the configuration is shown as %s", d.option, shown)
		}
	}
	s.put("no-callback: true")
	if end := s.hangUp(); !strings.Contains(end.Text("error"), "--no-callback") {
		t.Errorf("without callbacks: %s", end.Raw)
	}
	c.Send(`{"event":"ping"}`)
	c.Receive(`{"event":"pong"}`)
	c.Send("hello")
	if got := app.message("alice", 1).event.Conn; got != conn {
		t.Errorf("it is another connection: %s, %s", got, conn)
	}
}

func TestAConfigurationThatIsWrongLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	token := harness.WriteFile(t, "token", "the-right-token\n")
	bearer := []string{"Authorization: Bearer the-right-token"}
	good := []string{"admin-token-file: " + token, "allowed-origins: https://a.example.org"}
	s := steer(t, nil, good...)
	c := s.Dial(t, "alice")
	before := s.get("/tapr/ws/config", bearer...).body
	status := func() string { return s.get("/tapr/ws/status", bearer...).body }
	if strings.Contains(status(), `"reload"`) {
		t.Errorf("a reload that has not been: %s", status())
	}
	for what, test := range map[string]struct {
		spoil func()
		named string
	}{
		"a value":          {func() { s.put(append(good, "ping-timeout: soon")...) }, `--ping-timeout \"soon\"`},
		"a bound":          {func() { s.put(append(good, "max-message-size: 2GiB")...) }, "--max-message-size"},
		"an unknown key":   {func() { s.put(append(good, "alowed-origins: https://b.example.org")...) }, "alowed-origins"},
		"half a file":      {func() { replaceFile(t, s.file, s.always+"allowed-origins: [https://b.exam") }, filepath.Base(s.file)},
		"an empty file":    {func() { replaceFile(t, s.file, "") }, "no options in it"},
		"no file":          {func() { _ = os.Remove(s.file) }, "no such file"},
		"a folder":         {func() { _ = os.Remove(s.file); _ = os.Mkdir(s.file, 0o700) }, "is a directory"},
		"two at once":      {func() { s.put("admin-token-file: "+token, "admin-token: another-token") }, "only one of them can be used"},
		"a file not there": {func() { s.put("admin-token-file: /nowhere/token", "allowed-origins: https://b.example.org") }, "/nowhere/token"},
		"an empty token": {func() {
			s.put(append(good, "message-rate: 5")...)
			replaceFile(t, token, "")
		}, "this one is empty"},
		"no certificate": {func() { s.put(append(good, "callback-ca: "+token)...) }, "certificates in PEM"},
		"what does not fit with what needs a restart": {func() {
			s.always = strings.ReplaceAll(s.always, "no-callback: true", "callback-url: http://127.0.0.1:1/")
			s.put(good...)
		}, "for which a restart is needed"},
	} {
		always := s.always
		test.spoil()
		end := s.hangUp()
		s.always = always
		if end.Text("level") != "error" || !strings.Contains(end.Raw, test.named) {
			t.Errorf("%s: %s", what, end.Raw)
		}
		if got := s.get("/tapr/ws/config", bearer...).body; got != before {
			t.Errorf("%s: in force is %s", what, got)
		}
		if got := status(); !strings.Contains(got, `"reload":{"time":"`) || !strings.Contains(got, `"ok":false,"error":"`) {
			t.Errorf("%s: the status is %s", what, got)
		}
		if m := s.get("/metrics", bearer...).body; !strings.Contains(m, "\nws_gateway_config_last_reload_successful 0\n") {
			t.Errorf("%s: the metric says that all is well", what)
		}
		_ = os.Remove(s.file)
		replaceFile(t, token, "the-right-token\n")
		s.put(good...)
		if end := s.hangUp(); end.Text("level") != "info" {
			t.Errorf("after %s: %s", what, end.Raw)
		}
		if m := s.get("/metrics", bearer...).body; !strings.Contains(m, "\nws_gateway_config_last_reload_successful 1\n") {
			t.Errorf("after %s: the metric says that it is still wrong", what)
		}
	}
	s.refuses(t, visitor{User: "bob", Header: map[string]string{"Origin": "https://b.example.org"}}, http.StatusForbidden)
	c.Send(`{"event":"ping"}`)
	c.Receive(`{"event":"pong"}`)
}

func TestOriginsAndLimitsAreReloadedForNewcomersAndNobodyIsClosed(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	s := steer(t, app)
	from := func(user, origin string) visitor {
		return visitor{User: user, Header: map[string]string{"Origin": origin}}
	}
	c := s.Connect(t, from("alice", "https://old.example.org"))
	conn := app.opened("alice")
	sent := 0
	still := func() {
		t.Helper()
		sent++
		c.Send(fmt.Sprint(sent))
		if got := app.message("alice", sent).event.Conn; got != conn {
			t.Fatalf("it is another connection: %s, %s", got, conn)
		}
	}
	s.reload([]string{"allowed-origins: https://new.example.org"}, "allowed-origins")
	s.refuses(t, from("bob", "https://old.example.org"), http.StatusForbidden)
	s.Connect(t, from("bob", "https://new.example.org"))
	still()
	s.reload([]string{"max-connections: 1"}, "allowed-origins", "max-connections")
	s.refuses(t, visitor{User: "carol"}, http.StatusServiceUnavailable)
	still()
	s.reload([]string{"max-connections-per-user: 1"}, "max-connections", "max-connections-per-user")
	s.refuses(t, visitor{User: "alice"}, http.StatusTooManyRequests)
	still()
	s.reload([]string{"max-connections-per-ip: 2"}, "max-connections-per-user", "max-connections-per-ip") // was not counted until now
	s.refuses(t, visitor{User: "carol"}, http.StatusTooManyRequests)
	still()
	s.reload([]string{"max-connections-per-ip: 3", "trusted-proxies: 127.0.0.1"}, "trusted-proxies", "max-connections-per-ip")
	s.Connect(t, visitor{User: "dave", Header: map[string]string{"X-Forwarded-For": "192.0.2.1"}})
	if list, _ := s.list("?user=dave"); len(list["dave"]) != 1 || !strings.HasPrefix(list["dave"][0].RemoteAddr, "192.0.2.1") {
		t.Errorf("dave is %+v", list)
	}
	s.reload([]string{"require-user: true"}, "require-user", "trusted-proxies", "max-connections-per-ip")
	s.refuses(t, visitor{}, http.StatusUnauthorized)
	still()
	s.reload([]string{"user-header: X-Who"}, "user-header", "require-user")
	s.Connect(t, visitor{Header: map[string]string{"X-Who": "erin"}})
	app.opened("erin")
	s.reload([]string{"max-header-bytes: 1KiB", "subprotocols: chat"}, "user-header", "subprotocols", "max-header-bytes")
	s.refuses(t, visitor{Cookie: strings.Repeat("x", 2000)}, http.StatusRequestHeaderFieldsTooLarge)
	frank := s.Connect(t, visitor{User: "frank", Subprotocols: []string{"news", "chat"}})
	if got := frank.WS.Subprotocol(); got != "chat" {
		t.Errorf("subprotocol %q", got)
	}
	s.reload(nil, "subprotocols", "max-header-bytes")
	still()
}

func TestSizesAndRatesAreReloadedForConnectionsThatAreOpen(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	s := steer(t, app, "max-message-size: 1KiB")
	c := s.Dial(t, "alice")
	conn := app.opened("alice")
	s.reload([]string{"max-message-size: 64KiB"}, "max-message-size")
	c.Send(strings.Repeat("x", 50_000))
	if got := app.message("alice", 1); len(got.event.Data) < 50_000 || got.event.Conn != conn {
		t.Errorf("%d bytes of %s", len(got.event.Data), got.event.Conn)
	}
	s.reload([]string{"message-rate: 1", "message-burst: 3"}, "max-message-size", "message-rate", "message-burst")
	for n := range 6 {
		c.Send(fmt.Sprint(n))
	}
	s.awaitMetric(t, `ws_gateway_over_rate_total{reason="messages"}`, 1)
	app.message("alice", 7) // at the rate
	s.reload(nil, "message-rate", "message-burst")
	for n := range 200 {
		c.Send(fmt.Sprint(n))
	}
	app.message("alice", 207)
	s.reload([]string{"byte-rate: 1KiB", "byte-burst: 2KiB", "rate-policy: close"}, "byte-rate", "byte-burst", "rate-policy")
	c.Send(strings.Repeat("x", 4000))
	c.ClosedWith(websocket.StatusPolicyViolation, "rate limit")
}

func TestTimesAreReloaded(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	s := steer(t, app, "ping-timeout: 1h", "handshake-timeout: 1h")
	c := s.Dial(t, "alice")
	silent := s.raw(t)
	s.reload([]string{"ping-timeout: 3s", "handshake-timeout: 10ms"}, "handshake-timeout", "ping-timeout")
	silent.dropped()
	c.Send(`{"event":"ping"}`)
	c.Receive(`{"event":"pong"}`)
	c.ClosedWith(websocket.StatusPolicyViolation, "ping timeout")

	s.reload([]string{"ping-timeout: 1h"}, "handshake-timeout", "ping-timeout") // or the next would have to hurry
	pinged := make(chan struct{})
	b := s.Connect(t, visitor{User: "bob", OnPing: sync.OnceFunc(func() { close(pinged) })})
	s.reload([]string{"ping-timeout: 1h", "server-ping: 1s"}, "server-ping")
	ended := make(chan error, 1)
	go func() { _, err := b.Ended(); ended <- err }()
	select {
	case <-pinged:
	case err := <-ended:
		t.Fatalf("the connection ended before a ping came: %v", err)
	}
	_ = b.WS.CloseNow()
	<-ended
}

func TestTheLogLevelIsReloaded(t *testing.T) {
	t.Parallel()
	s := steer(t, nil)
	debug := func() int { return len(s.Log.MatchingNow(`"level":"debug"`, "connection closed")) }
	leave := func(user string) {
		t.Helper()
		s.Dial(t, user).Close(1000, "")
		harness.Poll(t, "the connection to be gone", func() bool { return s.connections() == 0 })
	}
	leave("alice")
	s.reload([]string{"log-level: debug"}, "log-level")
	if n := debug(); n != 0 {
		t.Errorf("%d lines at level info", n)
	}
	leave("bob")
	s.logged(t, 1, `"level":"debug"`, "connection closed")
	s.reload([]string{"log-level: error"}, "log-level") // which says so, at level info
	leave("carol")
	s.reload([]string{"log-level: info"}, "log-level")
	if n := debug(); n != 1 {
		t.Errorf("%d lines, one of them at level error", n)
	}
}
