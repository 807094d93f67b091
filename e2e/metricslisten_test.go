package e2e_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ws-gateway/e2e/described"
	"ws-gateway/e2e/harness"
)

func TestThoseWhoOnlyLookHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--metrics-listen", "127.0.0.1:0", "--admin-token", secret+"token-of-the-app")
	g.Dial(t, "alice")
	base := "http://" + g.Ready.Text("metrics")
	harness.Poll(t, "her connection to be counted", func() bool {
		return strings.Contains(g.requestAt(base, http.MethodGet, "/metrics", "").body, "\nws_gateway_connections 1\n")
	})
	for _, header := range []string{"Accept: */*", "X-Forwarded-For: 192.0.2.1", "Host: metrics.example", "Connection: upgrade"} {
		a := g.requestAt(base, http.MethodGet, "/metrics", "", header)
		if a.status != http.StatusOK || !strings.Contains(a.body, "\nws_gateway_connections 1\n") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %.200s", header, a.status, a.body)
		}
		for _, target := range []string{"/healthz", "/readyz", "/Healthz/"} {
			if a := g.requestAt(base, http.MethodGet, target, "", header); a.status != http.StatusOK || a.body != "ok\n" {
				t.Errorf("%s, %s: %d %q", target, header, a.status, a.body)
			}
		}
	}
	if a := g.requestAt(base, http.MethodHead, "/metrics", ""); a.status != http.StatusOK || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
	for _, target := range []string{listPath, sendPath, closePath, countPath, "/tapr/ws/config", "/tapr/ws/conn/events", "/console/", "/debug/pprof/heap", "/ws", "/", "/metrics/../tapr/ws/conn/list"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if a := g.requestAt(base, method, target, `{"all":true}`, "Authorization: Bearer "+secret+"token-of-the-app"); a.status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", method, target, a.status, a.body)
			}
		}
	}
	if a := g.requestAt(base, http.MethodPost, "/metrics", "x"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", a.status, a.header)
	}
	if a := g.get("/metrics"); a.status != http.StatusUnauthorized {
		t.Errorf("without the token, where management is: %d", a.status)
	}
	code, stdout, stderr := launch{args: []string{"health", "--url", base + "/readyz"}}.runToEnd(t)
	if code != 0 || stdout != "ok\n" {
		t.Errorf("health: %d %s", code, stderr)
	}
}

func TestWhoHoldsConnectionsDoesNotKeepPrometheusOut(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--metrics-listen", "127.0.0.1:0")
	addr := g.Ready.Text("metrics")
	crowd := make([]net.Conn, 300)
	for i := range crowd {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		crowd[i] = c
		if _, err := c.Write([]byte("GET /metrics HTTP/1.1\r\nHost: ")); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if a := g.requestAt("http://"+addr, http.MethodGet, "/readyz", ""); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	// Those that have had their time for a request are gone already.
	if n := g.metricNow(t, `ws_gateway_api_connections{peer="metrics"}`); n > 64 {
		t.Errorf("%v connections are at --metrics-listen, it has 64 places", n)
	}
	harness.Poll(t, "all that were turned away to be counted", func() bool {
		return g.metricNow(t, "ws_gateway_api_connections_refused_total") >= float64(len(crowd)-tooLate(t, crowd)-64)
	})
}

// tooLate counts the connections that were told that their request did not come in
// time.
func tooLate(t *testing.T, conns []net.Conn) (n int) {
	t.Helper()
	for _, c := range conns {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Read(func(fd uintptr) bool { // what is here, without waiting for it
			if got, _, _ := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT); got > 0 {
				n++
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestMetricsAreThereUntilTheEnd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "metrics.sock")
	app := startApp(t)
	g := startGateway(t, app, "--metrics-listen", "unix:"+socket, "--drain-delay", "20s", "--shutdown-timeout", "30s")
	g.HTTP.Transport = described.Transport(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}})
	if got := g.Ready.Text("metrics"); got != "unix:"+socket {
		t.Errorf("the log says %s", got)
	}
	g.Signal(syscall.SIGTERM)
	harness.Poll(t, "readiness to end", func() bool {
		return g.requestAt("http://localhost", http.MethodGet, "/readyz", "").status == http.StatusServiceUnavailable
	})
	harness.Poll(t, "the metrics to say so", func() bool {
		return strings.Contains(g.requestAt("http://localhost", http.MethodGet, "/metrics", "").body, "\nws_gateway_ready 0\n")
	})
	if a := g.requestAt("http://localhost", http.MethodGet, "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("healthz: %d", a.status)
	}
}

func TestMetricsCanComeFromASocketOfSystemds(t *testing.T) {
	t.Parallel()
	clients, metrics := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	g := launch{args: []string{"--no-callback"}, sockets: filesOf(t, clients, metrics), env: []string{"LISTEN_FDNAMES=clients:metrics"}}.start(t)
	if a := g.requestAt("http://"+metrics.Addr().String(), http.MethodGet, "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}
