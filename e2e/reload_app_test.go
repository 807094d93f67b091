package e2e_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

func TestATokenIsRotatedAndStreamsThatWereOpenedWithTheOldOneEnd(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	token := harness.WriteFile(t, "token", secret+"old\n")
	s := steer(t, app, "admin-token-file: "+token)
	c := s.Dial(t, "alice")
	ask := func(name string) int { return s.get(listPath, "Authorization: Bearer "+secret+name).status }
	live, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	_ = live.SetDeadline(time.Now().Add(harness.Patience))
	fmt.Fprintf(live, "GET /tapr/ws/conn/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %sold\r\n\r\n", secret)
	lines := bufio.NewReader(live)
	for line := ""; !strings.Contains(line, "heartbeat"); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	replaceFile(t, token, secret+"new\n") // no option changes
	s.reload([]string{"admin-token-file: " + token}, "admin-token-file")
	if old, now := ask("old"), ask("new"); old != http.StatusUnauthorized || now != http.StatusOK {
		t.Errorf("the old token: %d, the new one: %d", old, now)
	}
	if rest, err := io.ReadAll(lines); err != nil || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	s.reload(nil, "admin-token-file")
	if none := s.get(listPath).status; none != http.StatusOK {
		t.Errorf("without a token: %d", none)
	}
	s.reload([]string{"admin-token: " + secret + "third"}, "admin-token")
	if none, third := s.get(listPath).status, ask("third"); none != http.StatusUnauthorized || third != http.StatusOK {
		t.Errorf("no token: %d, the third: %d", none, third)
	}
	c.Send("hello")
	app.message("alice", 1)
}

// signedWith reports whether a callback has a signature that this secret makes.
func (c *call) signedWith(key string) bool {
	field := c.header.Get("X-Ws-Signature")
	at, _, _ := strings.Cut(strings.TrimPrefix(field, "t="), ",")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(at + "."))
	mac.Write(c.body)
	return strings.Contains(field, ",v1="+hex.EncodeToString(mac.Sum(nil)))
}

func TestANewSecretAndHeaderAreOfTheNextAttemptAlsoOfWhatWaits(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action == "message" && c.header.Get("X-Key") == secret+"1" {
			return reply{status: http.StatusServiceUnavailable}
		}
		return reply{}
	})
	file := harness.WriteFile(t, "secrets", secret+"old\n")
	lines := []string{"callback-secret-file: " + file, "callback-header: ['X-Key: " + secret + "1']"}
	s := steer(t, app, lines...)
	c := s.Dial(t, "alice")
	c.Send("waits")
	first := app.awaitCall("an attempt", func(c *call) bool { return c.is("message", "alice") })
	if !first.signedWith(secret+"old") || first.header.Get("X-Key") != secret+"1" {
		t.Errorf("the first attempt has %v", first.header)
	}
	replaceFile(t, file, secret+"new\n"+secret+"old\n")
	lines[1] = "callback-header: ['X-Key: " + secret + "2']"
	s.reload(lines, "callback-header", "callback-secret-file")
	got := app.message("alice", 1)
	if !got.signedWith(secret+"new") || !got.signedWith(secret+"old") || got.header.Get("X-Key") != secret+"2" || got.attempt < 2 {
		t.Errorf("attempt %d has %v", got.attempt, got.header)
	}
	replaceFile(t, file, secret+"new\n")
	s.reload(lines, "callback-secret-file")
	c.Send("goes out")
	if got := app.message("alice", 2); !got.signedWith(secret+"new") || got.signedWith(secret+"old") {
		t.Errorf("the next event has %v", got.header)
	}
	s.reload([]string{lines[1]}, "callback-secret-file")
	c.Send("unsigned")
	if got := app.message("alice", 3); got.header.Get("X-Ws-Signature") != "" {
		t.Errorf("without a secret it has %v", got.header)
	}
}

// certificate makes one of this name, which is its own authority, with its key.
func certificate(t *testing.T, name string) (cert tls.Certificate, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyText := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if cert, err = tls.X509KeyPair([]byte(text), []byte(keyText)); err != nil {
		t.Fatal(err)
	}
	return cert, text + keyText
}

func TestCertificatesAreRotatedInPlaceAndWhatCouldNotGoOutDoesThen(t *testing.T) {
	t.Parallel()
	app := newApp(t)
	var presented atomic.Value // name of the client certificate of the last request
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		app.ServeHTTP(w, r)
	}))
	var current atomic.Pointer[tls.Certificate]
	certA, textA := certificate(t, "app a")
	certB, textB := certificate(t, "app b")
	_, one := certificate(t, "one")
	_, two := certificate(t, "two")
	current.Store(&certA)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	server.TLS.Certificates = nil // httptest's own
	defer server.Close()
	ca, cert := harness.WriteFile(t, "ca.pem", textA), harness.WriteFile(t, "client.pem", one)
	s := &steered{always: "listen: 127.0.0.1:0\ncallback-url: " + server.URL + "\ncallback-ca: " + ca + "\ncallback-cert: " + cert + "\n"}
	s.file = harness.WriteFile(t, "gateway.yaml", s.always)
	s.gateway = launch{args: []string{"--config", s.file}}.run(t)
	ready, _ := s.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" })
	s.Addr = ready.Text("listen")

	c := s.Dial(t, "alice")
	conn := app.opened("alice")
	sent := 0
	delivered := func(name string) {
		t.Helper()
		if got := app.message("alice", sent); got.event.Conn != conn {
			t.Errorf("it is another connection: %s", got.event.Conn)
		}
		if presented.Load() != name {
			t.Errorf("the certificate shown is %v, want %s", presented.Load(), name)
		}
	}
	send := func() { sent++; c.Send(fmt.Sprint(sent)) }
	send()
	delivered("one")
	replaceFile(t, cert, two)
	s.reload(nil, "callback-cert")
	send()
	delivered("two")
	current.Store(&certB)
	replaceFile(t, ca, textB)
	s.reload(nil, "callback-ca")
	send()
	delivered("two")
	current.Store(&certA) // whom nobody trusts now
	replaceFile(t, cert, one)
	s.reload(nil, "callback-cert")
	if _, ok := s.Log.Await(harness.Patience, func(l logLine) bool {
		return strings.Contains(l.Text("message"), "is not trusted") && l.Text("level") == "warn"
	}); !ok {
		t.Error("the log does not say that the app's certificate is not trusted")
	}
	send()
	s.awaitMetric(t, "ws_gateway_app_down", 1)
	replaceFile(t, ca, textA+textB)
	s.reload(nil, "callback-ca")
	delivered("one")
}

func TestTheAppMovesToAnotherURLAndGetsWhatTheOldOneDidNotTake(t *testing.T) {
	t.Parallel()
	before, after := startApp(t), newApp(silent{t}) // which sees the middle of a life
	after.start()
	s := steer(t, before)
	c := s.Dial(t, "alice")
	conn := before.opened("alice")
	c.Send("1")
	before.message("alice", 1)
	s.awaitMetric(t, `ws_gateway_callbacks_delivered_total{action="message"}`, 1) // stop cuts off answers that are on their way
	before.stop()
	c.Send("2")
	s.awaitMetric(t, "ws_gateway_app_down", 1)
	s.always = strings.Replace(s.always, before.url(), after.url(), 1)
	s.reload(nil, "callback-url")
	if got := after.message("alice", 1); got.event.Conn != conn || string(got.event.Data) != "2" {
		t.Errorf("the new one gets %s", got.body)
	}
	if status := s.get("/tapr/ws/status").body; !strings.Contains(status, after.url()) {
		t.Errorf("the status is %s", status)
	}
}

// A hundred reloads, some of them at once, under load: nobody is closed, nothing is
// lost, all is told once.
func TestAHundredReloadsUnderLoadTouchNothing(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	letters := filepath.Join(t.TempDir(), "letters")
	always := []string{"journal: " + filepath.Join(t.TempDir(), "journal"), "dead-letter: " + letters, "max-connections-per-user: 0"}
	variants := [][]string{
		nil,
		{"allowed-origins: https://a.example.org", "max-connections: 1", "message-rate: 100000", "callback-timeout: 30s"},
		{"max-connections-per-ip: 1", "byte-rate: 100MiB", "callback-secret: a-secret", "server-ping: 1s", "callback-queue: 10"},
		{"max-message-size: 4KiB", "callback-retry-for: 1h", "callback-header: 'X-Key: 1'", "max-pending-bytes: 64KiB", "write-timeout: 5s", "log-level: debug"},
		{"admin-token: a-good-token", "message-memory: 64MiB", "callback-memory: 64MiB", "ping-timeout: 1h", "keepalive: any", "compression: true"},
	}
	with := func(i int) []string { return append(always[:len(always):len(always)], variants[i%len(variants)]...) }
	s := steer(t, app, with(0)...)
	const clients = 30
	var sending sync.WaitGroup
	stop := make(chan struct{})
	var crowd []*client
	var conns []string
	for n := range clients {
		user := fmt.Sprint("user", n)
		c := s.Dial(t, user)
		crowd, conns = append(crowd, c), append(conns, app.opened(user))
		sending.Go(func() {
			for m := 0; ; m++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.Write(websocket.MessageText, fmt.Sprint(m)); err != nil {
					t.Errorf("%s: %v", user, err)
					return
				}
				if m%20 == 19 { // waits for what it has sent, so that the app keeps up
					c.Send(`{"event":"ping"}`)
					c.Receive(`{"event":"pong"}`)
				}
			}
		})
	}
	for i := 1; i <= 100; i++ {
		s.put(with(i)...)
		s.Signal(syscall.SIGHUP)
		if i%5 == 0 {
			// Whatever became of the signals before: the last one is heeded.
			want := "needs_restart"
			harness.Poll(t, "the last variant", func() bool {
				a := s.get("/tapr/ws/status", "Authorization: Bearer a-good-token")
				return strings.Contains(a.body, want) && s.inForce(variants[i%len(variants)])
			})
		}
	}
	close(stop)
	sending.Wait()
	for _, c := range crowd {
		c.Close(1000, "")
	}
	for _, conn := range conns {
		app.whole(t, conn)
	}
	app.Mu.Lock()
	if len(app.lives) != clients {
		t.Errorf("the app knows %d connections, there are %d", len(app.lives), clients)
	}
	app.Mu.Unlock()
	if wrong := app.violations(); len(wrong) > 0 {
		t.Errorf("%s", strings.Join(wrong, "\n"))
	}
	if info, err := os.Stat(letters); err != nil || info.Size() > 0 {
		t.Errorf("dead letters: %v, %v", info, err)
	}
	s.Signal(syscall.SIGTERM)
	if code := s.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := s.stopped(t).Number("events_undelivered"); n != 0 {
		t.Errorf("%d events undelivered", n)
	}
}

// inForce reports whether the configuration in force has these lines, secrets and
// lists apart.
func (s *steered) inForce(lines []string) bool {
	shown := s.get("/tapr/ws/config", "Authorization: Bearer a-good-token").body
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if strings.ContainsAny(value, "':") || strings.HasPrefix(name, "callback-secret") || name == "admin-token" {
			value = ""
		}
		if !strings.Contains(strings.ReplaceAll(shown, `\"`, ""), name+": "+value) {
			return false
		}
	}
	return true
}

func TestSystemdIsToldOfAReloadAndOfItsEndWhateverHasComeOfIt(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	file := harness.WriteFile(t, "gateway.yaml", "no-callback: true\n")
	g := launch{args: []string{"--config", file}, env: []string{"NOTIFY_SOCKET=" + m.path}}.start(t)
	m.await("READY=1")
	for _, content := range []string{"no-callback: true\nlog-level: debug\n", "no-callback: perhaps\n"} {
		replaceFile(t, file, content)
		g.Signal(syscall.SIGHUP)
		if said := m.await("RELOADING=1"); !strings.Contains(said, "\nMONOTONIC_USEC=") {
			t.Errorf("it says %q", said)
		}
		said := m.await("READY=1")
		if failed := strings.Contains(said, "the last reload failed"); failed != strings.Contains(content, "perhaps") {
			t.Errorf("it says %q", said)
		}
	}
}

func TestAReloadThatHangsAndOneDuringTheEndHoldUpNoStop(t *testing.T) {
	t.Parallel()
	s := steer(t, nil)
	s.Dial(t, "alice")
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.file, 0o600); err != nil { // whoever opens it waits
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	if _, ok := s.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "SIGHUP: files reopened" }); !ok {
		t.Fatal("SIGHUP is not heeded")
	}
	if line, ok := s.Log.Await(harness.Patience, func(l logLine) bool {
		return strings.HasPrefix(l.Text("message"), "SIGHUP: the configuration is still being read")
	}); !ok || line.Text("level") != "warn" {
		t.Errorf("of a reload that hangs it says %s", line.Raw)
	}
	s.Signal(syscall.SIGTERM)
	s.Signal(syscall.SIGHUP)
	if code := s.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.stopped(t)
}

// After a rotation that went half wrong "files reopened" would be a lie: letters go
// on to the file that somebody is about to compress.
func TestSIGHUPDoesNotSayReopenedOfAFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	s := steer(t, app, "dead-letter: "+file)
	if err := errors.Join(os.Rename(file, file+".1"), os.Mkdir(file, 0o700)); err != nil {
		t.Fatal(err)
	}
	said := func() (lines []string) {
		n := len(s.Log.All())
		s.Signal(syscall.SIGHUP)
		var got []logLine
		harness.Poll(t, "the end of the reload", func() bool {
			got = s.Log.All()[n:]
			return slices.ContainsFunc(got, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "SIGHUP: nothing has changed") })
		})
		for _, l := range got {
			lines = append(lines, l.Text("message"))
		}
		return lines
	}
	if lines := strings.Join(said(), "\n"); strings.Contains(lines, "reopened") || !strings.Contains(lines, "cannot be opened") {
		t.Errorf("it says\n%s", lines)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Join(said(), "\n"); !strings.Contains(lines, "SIGHUP: files reopened") {
		t.Errorf("it says\n%s", lines)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// The gateway waits for its configuration, SIGHUP comes, the configuration comes.
func TestSIGHUPDoesNotEndAGatewayThatIsJustStarting(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	g := launch{args: []string{"--config", pipe}}.run(t)
	config, err := os.OpenFile(pipe, os.O_WRONLY, 0) // once it reads
	if err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGHUP)
	if _, err := config.WriteString("no-callback: true\nlisten: 127.0.0.1:0\n"); err != nil {
		t.Fatal(err)
	}
	config.Close()
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" }); !ok {
		t.Fatal("it does not get ready")
	}
	if _, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "SIGHUP: ") }); !ok {
		t.Error("SIGHUP is forgotten")
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheDemoIsReloadedToo(t *testing.T) {
	t.Parallel()
	file := harness.WriteFile(t, "gateway.yaml", "listen: 127.0.0.1:0\n")
	g := launch{args: []string{"demo", "--app-listen", "127.0.0.1:0", "--config", file}}.run(t)
	ready, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return l.Text("message") == "ready" })
	if !ok {
		t.Fatal("it does not get ready")
	}
	g.Addr = ready.Text("listen")
	s := &steered{gateway: g, file: file, always: "listen: 127.0.0.1:0\n"}
	s.reload([]string{"max-connections: 1"}, "max-connections")
	g.Dial(t, "alice")
	g.refuses(t, visitor{User: "bob"}, http.StatusServiceUnavailable)
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if end := s.hangUp(); end.Text("message") != "SIGHUP: nothing has changed that can be reloaded" || end.Text("level") != "info" {
		t.Errorf("once more: %s", end.Raw)
	}
	s.put("max-connections: 1", "admin-token: "+secret+"token") // its app has none
	if end := s.hangUp(); end.Text("message") != "SIGHUP: nothing has changed that can be reloaded" {
		t.Errorf("a token: %s", end.Raw)
	}
	s.logged(t, 1, `"options":["admin-token"]`)
	if n := g.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
