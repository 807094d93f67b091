package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ws-gateway/e2e/described"
	"ws-gateway/e2e/harness"
)

func TestRoutesAreFoundInAnyCaseAndWithATrailingSlash(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, target := range []string{listPath, listPath + "/", "/TAPR/WS/CONN/LIST", "/Tapr/ws/Conn/List/", listPath + "?user=x", listPath + "/?limit=1&cursor="} {
		if a := g.get(target); a.status != http.StatusOK || a.body != `{"code":0,"message":"success","data":[]}` {
			t.Errorf("%s answered %d %q", target, a.status, a.body)
		}
	}
	for _, target := range []string{sendPath + "/", "/tapr/WS/conn/SEND"} {
		if a := g.post(target, `{"payload":1,"users":["x"]}`); a.body != success {
			t.Errorf("%s answered %d %q", target, a.status, a.body)
		}
	}
}

func TestTheListAnswersHEADWithoutABody(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	if a := g.request(http.MethodHead, listPath, ""); a.status != http.StatusOK || a.body != "" {
		t.Errorf("HEAD answered %d %q", a.status, a.body)
	}
	// The connection is still in step.
	if a := g.get(listPath); a.status != http.StatusOK {
		t.Errorf("the next request answered %d", a.status)
	}
}

func TestAnUnknownQueryParameterIsRefusedSoThatATypoDoesNotMeanEverybody(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	g.Dial(t, "al")
	const lists = ": this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope"
	for target, why := range map[string]string{
		listPath + "?usr=al":                           "unknown query parameter usr" + lists,
		listPath + "?user=al&limt=1":                   "unknown query parameter limt" + lists,
		listPath + "?limit=1&limit=2":                  "query parameter limit is there twice: give it once",
		countPath + "?usr=al":                          "unknown query parameter usr: this route takes user, user_prefix, remote, older_than, group and scope",
		groupsPath + "?group=al":                       "unknown query parameter group: this route takes conn_id, user, limit, cursor and scope",
		getPath + "?id=x":                              "unknown query parameter id: this route takes conn_id and scope",
		getPath + "?conn_id=x&conn_id=y":               "query parameter conn_id is there twice: give it once",
		"/tapr/ws/conn/events?users=al":                "unknown query parameter users: this route takes user, conn_id, group, action, payload, rate and scope",
		"/tapr/ws/conn/events?payload":                 "payload must be 1 or 0",
		"/tapr/ws/status?verbose=1":                    "unknown query parameter verbose: this route takes none",
		"/tapr/ws/config?" + strings.Repeat("x", 2000): "unknown query parameter " + strings.Repeat("x", 40) + "…: this route takes none",
	} {
		a := g.get(target)
		if p := a.parse(t); a.status != http.StatusOK || p.Code != 400 || p.Message != why {
			t.Errorf("%.60s: %d %s, want %q", target, a.status, a.body, why)
		}
		if a := g.request(http.MethodHead, target, ""); a.status != http.StatusOK || a.body != "" {
			t.Errorf("HEAD %.60s: %d %q", target, a.status, a.body)
		}
	}
	// What selects nothing, or says everything in its body, is not asked about its query.
	for _, target := range []string{"/healthz?verbose", "/readyz?x=1", "/metrics?x=1", "/console/?x=1"} {
		if a := g.get(target); a.status != http.StatusOK {
			t.Errorf("%s answered %d %.80q", target, a.status, a.body)
		}
	}
	if a := g.post(sendPath+"?users=al", `{"payload":1,"users":["nobody"],"someday":1}`); a.body != success {
		t.Errorf("a send with a query: %s", a.body)
	}
}

func TestAnUnknownRouteIs404(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, target := range []string{
		"/", "/tapr", "/tapr/ws/conn", "/tapr/ws/conn/", "/tapr/ws/conn/list/x", "/tapr/ws/conn/lists", "/tapr//ws/conn/list",
		"/x/../tapr/ws/conn/list", "/tapr/ws/conn/%6cist", "/favicon.ico", "/tapr/ws/conn/list//",
	} {
		r := g.raw(t)
		r.say("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		if response, _ := r.response(); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d, want 404", target, response.StatusCode)
		}
	}
}

func TestAWrongMethodIs405AndNamesTheRightOne(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for target, allow := range map[string]string{
		sendPath: "POST", closePath: "POST", listPath: "GET", countPath: "GET", getPath: "GET", "/healthz": "GET", "/readyz": "GET",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			if method == allow {
				continue
			}
			a := g.request(method, target, "")
			if a.status != http.StatusMethodNotAllowed || !strings.Contains(a.header.Get("Allow"), allow) {
				t.Errorf("%s %s: %d, Allow %q; want 405 and %s", method, target, a.status, a.header.Get("Allow"), allow)
			}
		}
	}
}

func TestABodyOverTheLimitIs413(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--max-api-body", "64KiB")
	c := g.Dial(t, "alice")
	fits := `"` + strings.Repeat("x", 60<<10) + `"`
	g.send(`{"payload":` + fits + `,"users":["alice"]}`)
	c.Receive(fits)

	for name, head := range map[string]string{
		"announced": fmt.Sprintf("Content-Length: %d\r\n\r\n", 65<<10),
		"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", 65<<10),
	} {
		r := g.raw(t)
		r.say("POST " + sendPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head)
		written := make(chan struct{})
		go func() { defer close(written); _, _ = r.Write([]byte(strings.Repeat("x", 65<<10) + "\r\n0\r\n\r\n")) }()
		response, _, err := r.tryResponse()
		<-written
		if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v %v, want 413", name, response, err)
		}
	}
	if a := g.get(countPath); a.status != http.StatusOK {
		t.Errorf("afterwards count answered %d", a.status)
	}
}

func TestHealthReadinessAndMetricsAnswer(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	g.Dial(t, "alice")
	app.awaitAccepted("open", func(c *call) bool { return c.event.Action == "open" })
	for _, target := range []string{"/healthz", "/readyz"} {
		if a := g.get(target); a.status != http.StatusOK {
			t.Errorf("%s answered %d", target, a.status)
		}
	}
}

func TestWithoutATokenOnlyTheAppBesideUsIsServed(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	_, port, _ := net.SplitHostPort(g.Addr)
	for header, want := range map[string]int{
		"Host: 127.0.0.1:" + port:             200,
		"Host: localhost:" + port:             200,
		"Host: LOCALHOST":                     200,
		"Host: [::1]:" + port:                 200,
		"Host: 10.1.2.3":                      200,
		"Host: evil.example":                  403,
		"Host: evil.example:" + port:          403,
		"Host: localhost.evil.example":        403,
		"Host: 127.0.0.1.evil.example":        403,
		"Host: 127.0.0.1@evil.example":        400, // is no host at all
		"Origin: https://evil.example":        403,
		"Origin: null":                        403,
		"Origin: http://127.0.0.1":            403,
		"X-Forwarded-For: 127.0.0.1":          403,
		"x-forwarded-for: 10.0.0.1, 10.0.0.2": 403,
		"Forwarded: for=127.0.0.1":            403,
		"X-Real-Ip: 127.0.0.1":                403,
		"Via: 1.1 proxy":                      403,
		"X-Bfl-User: alice":                   403,
		"Authorization: Bearer whatever":      200,
		"User-Agent: an app":                  200,
	} {
		for _, a := range []answer{g.get(listPath, header), g.post(sendPath, `{"payload":1,"users":["x"]}`, header)} {
			if a.status != want {
				t.Errorf("%s: %d %.100q, want %d", header, a.status, a.body, want)
			}
		}
	}
	r := g.raw(t)
	r.say("GET " + listPath + " HTTP/1.1\r\n\r\n")
	if response, _ := r.response(); response.StatusCode/100 == 2 {
		t.Errorf("a request without a Host answered %d", response.StatusCode)
	}
}

func TestTheConfiguredUserHeaderShowsAStrangerToo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--user-header", "Remote-User")
	if a := g.get(listPath, "Remote-User: alice"); a.status != http.StatusForbidden {
		t.Errorf("status %d, want 403", a.status)
	}
}

func TestWithATokenEveryManagementRequestNeedsIt(t *testing.T) {
	t.Parallel()
	const token = secret + "token"
	flag := startPushOnly(t, "--admin-token", token)
	file := startPushOnly(t, "--admin-token-file", harness.WriteFile(t, "token", token+"\n"))
	for _, g := range []*gateway{flag, file} {
		for header, want := range map[string]int{
			"X-None: x":                            401,
			"Authorization: Bearer wrong":          401,
			"Authorization: Bearer":                401,
			"Authorization: Bearer " + token + "x": 401,
			"Authorization: Basic " + token:        401,
			"Authorization: " + token:              401,
			"Authorization: Bearer " + token:       200,
			"Authorization: bearer " + token:       200,
		} {
			for _, a := range []answer{g.get(listPath, header), g.post(sendPath, `{"payload":1,"users":["x"]}`, header)} {
				if a.status != want {
					t.Errorf("%s: %d %.100q, want %d", header, a.status, a.body, want)
				}
			}
		}
		for _, stranger := range []string{"X-Forwarded-For: 10.0.0.1", "Host: gateway.example", "Via: 1.1 proxy"} {
			if a := g.get(listPath, stranger, "Authorization: Bearer "+token); a.status != http.StatusOK {
				t.Errorf("%s with the token: %d, want 200", stranger, a.status)
			}
		}
	}
}

func TestAdminListenMovesManagementToAListenerOfItsOwn(t *testing.T) {
	t.Parallel()
	t.Run("unix", func(t *testing.T) {
		t.Parallel()
		socket := filepath.Join(t.TempDir(), "admin.sock")
		g := startPushOnly(t, "--admin-listen", "unix:"+socket)
		g.onlyAt(t, "http://localhost", socket)
		info, err := os.Stat(socket)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			t.Errorf("the socket has mode %o: anybody on the machine may connect", mode)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		g := startPushOnly(t, "--admin-listen", "127.0.0.1:0")
		g.onlyAt(t, "http://"+g.Ready.Text("admin"), "")
	})
}

// onlyAt requires the management API to be served at base (through the unix
// socket, where one is named), and the shared listener to serve clients alone.
func (g *gateway) onlyAt(t *testing.T, base, socket string) {
	t.Helper()
	shared := g.get(listPath)
	if shared.status != http.StatusNotFound {
		t.Errorf("the shared listener answered %d, want 404", shared.status)
	}
	if socket != "" {
		g.HTTP.CloseIdleConnections()
		g.HTTP.Transport = described.Transport(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}})
	}
	c := g.Dial(t, "alice")
	if a := g.requestAt(base, http.MethodPost, sendPath, `{"payload":{"via":"admin"},"users":["alice"]}`); a.body != success {
		t.Errorf("send answered %d %q", a.status, a.body)
	}
	c.Receive(`{"via":"admin"}`)
	if a := g.requestAt(base, http.MethodGet, "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("readyz answered %d", a.status)
	}
	// 421 tells a client that it has come to the wrong door.
	if a := g.requestAt(base, http.MethodGet, "/ws", ""); a.status != http.StatusNotFound && a.status != http.StatusMisdirectedRequest {
		t.Errorf("the client path answered %d on the management listener", a.status)
	}
}

func TestManyRequestsShareAConnectionAndMayComeInOnePacket(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	r := g.raw(t)
	request := "POST " + sendPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 28\r\n\r\n" + `{"payload":1,"users":["ab"]}`
	r.say(strings.Repeat(request, 50))
	for range 50 {
		if response, body := r.response(); response.StatusCode != http.StatusOK || body != success {
			t.Fatalf("answered %d %q", response.StatusCode, body)
		}
	}
}
