//go:build proxies

package proxies

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// mistake is a configuration as people write it from memory, which passes on more
// than the client path.
type mistake struct {
	name          string
	language      string
	configuration string
	prefix        string // what leads to management
	open          bool   // the gateway cannot tell
}

const websocketRecipe = `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; `

var mistakes = []mistake{
	{"everything", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; }`), "/", false},
	{"everything, the recipe for WebSockets", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; ` + websocketRecipe + `}`), "/", false},
	{"everything, the recipe with a map", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }`), "/", true},
	{"everything, connections kept", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_http_version 1.1; proxy_set_header Connection ""; }`), "/", true},
	{"the prefix stripped, connections kept", "nginx", inNginx(`location /ws/ { proxy_pass http://127.0.0.1:40010/; proxy_http_version 1.1; proxy_set_header Connection ""; }`), "/ws/", true},
	{"everything, Host kept", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header Host $host; }`), "/", false},
	{"everything, the recipe, Host kept", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header Host $host; ` + websocketRecipe + `}`), "/", false},
	{"everything, an empty user", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header X-Bfl-User $remote_user; }`), "/", false},
	{"everything, a user", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header X-Bfl-User alice; }`), "/", false},
	{"everything, X-Real-IP", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header X-Real-IP $remote_addr; }`), "/", false},
	{"everything, X-Forwarded-For", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }`), "/", false},
	{"everything, X-Forwarded-Proto", "nginx", inNginx(`location / { proxy_pass http://127.0.0.1:40010; proxy_set_header X-Forwarded-Proto $scheme; }`), "/", false},
	{"the prefix stripped", "nginx", inNginx(`location /ws/ { proxy_pass http://127.0.0.1:40010/; }`), "/ws/", false},
	{"the prefix stripped, the recipe", "nginx", inNginx(`location /ws/ { proxy_pass http://127.0.0.1:40010/; ` + websocketRecipe + `}`), "/ws/", false},
	{"the prefix stripped, no slash", "nginx", inNginx(`location /ws { proxy_pass http://127.0.0.1:40010/; }`), "/ws", false},
	{"the prefix kept", "nginx", inNginx(`location /ws { proxy_pass http://127.0.0.1:40010; }`), "/ws/", false},
	{"a pattern that begins anywhere", "nginx", inNginx(`location ~ /ws { proxy_pass http://127.0.0.1:40010; }`), "/", false},

	{"everything", "haproxy", inHAProxy("http", ""), "/", true},
	{"everything, option forwardfor", "haproxy", inHAProxy("http", "option forwardfor"), "/", false},
	{"whatever contains /ws", "haproxy", inHAProxy("http", "http-request deny unless { path_sub /ws }"), "/", true},
	{"TCP", "haproxy", inHAProxy("tcp", ""), "/", true},

	{"everything", "caddyfile", "example.org {\n\treverse_proxy 127.0.0.1:40010\n}\n", "/", false},
	{"the prefix stripped", "caddyfile", "example.org {\n\thandle_path /ws/* {\n\t\treverse_proxy 127.0.0.1:40010\n\t}\n}\n", "/ws/", false},
	{"everything, without X-Forwarded-For", "caddyfile", "example.org {\n\treverse_proxy 127.0.0.1:40010 {\n\t\theader_up -X-Forwarded-For\n\t}\n}\n", "/", false},

	{"everything", "apache", inApache(`ProxyPass "/" "http://127.0.0.1:40010/"`), "/", false},
	{"everything, upgrades", "apache", inApache(`ProxyPass "/" "http://127.0.0.1:40010/" upgrade=websocket`), "/", false},
	{"everything, mod_proxy_wstunnel", "apache", "LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so\n" + inApache(`ProxyPass "/" "ws://127.0.0.1:40010/"`), "/", false},
	{"the prefix stripped", "apache", inApache(`ProxyPass "/ws/" "http://127.0.0.1:40010/" upgrade=websocket`), "/ws/", false},
	{"everything, ProxyAddHeaders off", "apache", inApache("ProxyAddHeaders Off\nProxyPass \"/\" \"http://127.0.0.1:40010/\""), "/", true},
}

func inNginx(location string) string {
	return "worker_processes 1;\nevents { }\nhttp {\n map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n server { listen 80 ; " + location + " }\n}\n"
}

func inHAProxy(mode, rule string) string {
	return "defaults\n    mode " + mode + "\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\nfrontend f\n    bind :80\n    " + rule +
		"\n    default_backend b\nbackend b\n    server s 127.0.0.1:40010 # check port 40011\n"
}

func inApache(lines string) string {
	return "Listen 80\n<VirtualHost *:80>\n" + lines + "\n</VirtualHost>\n"
}

// What attackers add: a Host of their choice, and what makes proxies drop or change
// headers.
var disguises = []string{
	"Host: " + siteName + "\r\n", "Host: 127.0.0.1\r\n", "Host: localhost\r\n",
	"Host: 127.0.0.1\r\nConnection: close\r\n", "Host: 127.0.0.1\r\nConnection: keep-alive\r\n",
	"Host: localhost\r\nConnection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Server, X-Forwarded-Proto, X-Real-Ip, X-Bfl-User, Via\r\n",
	"Host: localhost\r\nX-Forwarded-For:\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host:\r\n",
	"Host: localhost\r\n" + asUpgrade,
	"Host: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
}

// A mistake that opens management is what docs/proxies.md and docs/security.md warn
// of; the gateway must catch the others.
func TestWhichMistakesOpenManagement(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, harness.Binary(t), a)
	for _, m := range mistakes {
		t.Run(m.language+", "+m.name, func(t *testing.T) {
			ways := m.ways(t, m.start(t, a, g).addr)
			if (len(ways) > 0) != m.open {
				t.Errorf("ways to management, where some were expected %v: %q", m.open, ways)
			}
		})
	}
}

func (m mistake) start(t *testing.T, a *app, g *gateway) *process {
	t.Helper()
	for _, k := range kinds {
		if k.language != m.language {
			continue
		}
		for range 5 {
			s := site{configuration: m.configuration, port: harness.FreePort(t), gateway: g.addr, management: portOf(g.addr), app: a.addr()}
			if p := k.start(t, s); p != nil {
				return p
			}
		}
	}
	t.Fatal("the proxy does not start")
	return nil
}

// ways returns the requests to which management has answered.
func (m mistake) ways(t *testing.T, addr string) (found []string) {
	t.Helper()
	const body = `{"conns":["nobody"]}`
	for _, disguise := range disguises {
		for _, request := range []string{
			"GET " + m.prefix + "tapr/ws/conn/list HTTP/1.1\r\n" + disguise + "\r\n",
			"GET " + m.prefix + "tapr/ws/conn/list HTTP/1.0\r\n" + disguise + "\r\n",
			"POST " + m.prefix + "tapr/ws/conn/close HTTP/1.1\r\n" + disguise + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body,
		} {
			if _, status, answer := ask(t, addr, request); status == http.StatusOK && strings.Contains(answer, `"code":0`) {
				found = append(found, request)
			}
		}
	}
	return found
}
