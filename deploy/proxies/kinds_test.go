//go:build proxies

package proxies

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// kind is one of the proxies that the page has a configuration for.
type kind struct {
	name     string
	language string // of its block
	start    func(t testing.TB, s site) *process
	signIn   func(user string) string // header lines with which the client signs in
	asks     bool                     // the app, at /auth
}

// site says where everything is.
type site struct {
	configuration string // as on the page
	port          string // of the proxy
	gateway       string // address, as the proxy knows it
	management    string // port
	app           string // address
}

var kinds = []kind{
	{"nginx", "nginx", startNginx, byCookie, true},
	{"HAProxy", "haproxy", startHAProxy, byToken, false},
	{"Caddy", "caddyfile", startCaddy, byCookie, true},
	{"Apache", "apache", startApache, byPassword, false},
}

// each runs a test with each proxy.
func each(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// proxy is a running one.
type proxy struct {
	*process
	kind kind
	site site
}

// startProxy runs a proxy in front of the gateway at this address, whose
// management is at its own address. SignIn false leaves out what the page marks.
func startProxy(t testing.TB, k kind, gateway string, g *gateway, a *app, signIn bool) *proxy {
	t.Helper()
	s := site{configuration: block(t, k.language), gateway: gateway, management: portOf(g.addr), app: a.addr()}
	if !signIn {
		s.configuration = withoutSignIn(t, s.configuration)
	}
	for range 5 { // another process may be quicker to take the port
		s.port = harness.FreePort(t)
		if p := k.start(t, s); p != nil {
			return &proxy{p, k, s}
		}
	}
	t.Fatalf("%s does not start", k.name)
	return nil
}

// again starts a proxy that was stopped, on its port.
func (p *proxy) again() {
	p.t.Helper()
	if p.process = p.kind.start(p.t, p.site); p.process == nil {
		p.t.Fatalf("%s does not start again", p.kind.name)
	}
}

func (s site) listen() string { return "127.0.0.1:" + s.port }

// replacements adds to a proxy's own those that all configurations need.
func (s site) replacements(own map[string]string) map[string]string {
	own["127.0.0.1:40010"] = s.gateway
	if asked := "127.0.0.1:8888"; strings.Contains(s.configuration, asked) {
		own[asked] = s.app
	}
	return own
}

// write puts a configuration into a folder of its own that every user may enter:
// workers run as one that owns nothing.
func write(t testing.TB, name, content string) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ws-gateway-proxy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func startNginx(t testing.TB, s site) *process {
	t.Helper()
	path := write(t, "nginx.conf", adapt(t, s.configuration, s.replacements(map[string]string{
		"listen 80 ": "listen " + s.listen() + " ",
		"\nhttp {\n": "\nhttp {\n    access_log off;\n",
	})))
	dir := filepath.Dir(path)
	return startProcess(t, s.listen(), exec.Command("nginx", "-p", dir, "-c", path, "-e", "stderr",
		"-g", "daemon off; pid "+dir+"/nginx.pid;"))
}

func startHAProxy(t testing.TB, s site) *process {
	t.Helper()
	path := write(t, "haproxy.cfg", adapt(t, s.configuration, s.replacements(map[string]string{
		"bind :80":         "bind " + s.listen(),
		"check port 40011": "check port " + s.management,
	})))
	return startProcess(t, s.listen(), exec.Command("haproxy", "-db", "-f", path))
}

func startCaddy(t testing.TB, s site) *process {
	t.Helper()
	path := write(t, "Caddyfile", "{\n\tadmin off\n}\n"+adapt(t, s.configuration, s.replacements(map[string]string{
		"example.org {": "http://:" + s.port + " {\n\tbind 127.0.0.1",
	})))
	cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", path)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(path))
	return startProcess(t, s.listen(), cmd)
}

func startApache(t testing.TB, s site) *process {
	t.Helper()
	sum := sha1Of(password)
	users := write(t, "users", "alice:{SHA}"+sum+"\nbob:{SHA}"+sum+"\n")
	own := map[string]string{"Listen 80\n": "Listen " + s.listen() + "\n", "<VirtualHost *:80>": "<VirtualHost " + s.listen() + ">"}
	if strings.Contains(s.configuration, "AuthUserFile") {
		own["/etc/apache2/users"] = users
	}
	path := write(t, "site.conf", adapt(t, s.configuration, s.replacements(own)))
	var main strings.Builder
	// What Debian's own apache2.conf has, and modules that it enables by itself.
	fmt.Fprintf(&main, "ServerRoot %[1]s\nPidFile %[1]s/pid\nServerName example.org\nErrorLog /dev/stderr\nUser www-data\nGroup www-data\n", filepath.Dir(path))
	for _, module := range append(modules(t), "authn_core", "authz_core") {
		fmt.Fprintf(&main, "LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module)
	}
	fmt.Fprintf(&main, "Include %s\n", path)
	return startProcess(t, s.listen(), exec.Command("apache2", "-f", write(t, "apache2.conf", main.String()), "-DFOREGROUND"))
}

const password = "correct horse"

// byCookie signs in with the cookie that the app knows.
func byCookie(user string) string { return "Cookie: session=" + user + "\r\n" }

// byPassword signs in as browsers do.
func byPassword(user string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
}

// byToken signs in with a good token.
func byToken(user string) string {
	return tokenCookie(`{"alg":"HS256","typ":"JWT"}`, user, time.Now().Add(time.Hour), "the-secret-of-the-tokens")
}

func tokenCookie(header, user string, expires time.Time, key string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode(fmt.Appendf(nil, `{"sub":%q,"exp":%d}`, user, expires.Unix()))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return "Cookie: session=" + signed + "." + encode(mac.Sum(nil)) + "\r\n"
}
