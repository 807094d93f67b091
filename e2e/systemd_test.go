package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// manager is the end of systemd's that is notified.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, path}
}

// await returns the next notification that has this line.
func (m *manager) await(want string) string {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(harness.Patience))
	buffer := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buffer)
		if err != nil {
			m.t.Fatalf("waiting for %s: %v", want, err)
		}
		for line := range strings.SplitSeq(string(buffer[:n]), "\n") {
			if line == want {
				return string(buffer[:n])
			}
		}
	}
}

func TestSystemdIsToldWhenItIsReadyThatItLivesAndThatItStops(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	app := startApp(t)
	g := launch{app: app, args: []string{"--shutdown-timeout", "20s"}, env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=4000000"}}.start(t)
	if said := m.await("READY=1"); !strings.Contains(said, "\nSTATUS=0 connections of ") {
		t.Errorf("it says %q", said)
	}
	g.Dial(t, "alice")
	app.opened("alice")
	for range 2 { // the second ping needs loops that have turned since the first
		if said := m.await("WATCHDOG=1"); !strings.Contains(said, "\nSTATUS=1 connections of ") || !strings.HasSuffix(said, "0 events wait for the app") {
			t.Errorf("it says %q", said)
		}
	}
	g.Signal(syscall.SIGTERM)
	if said := m.await("STOPPING=1"); !strings.Contains(said, "EXTEND_TIMEOUT_USEC=25000000") {
		t.Errorf("it says %q", said)
	}
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// filesOf returns what a child inherits of a listener.
func filesOf(t *testing.T, listeners ...net.Listener) (files []*os.File) {
	t.Helper()
	for _, ln := range listeners {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestSystemdsSocketsAreServedAndOutliveARestart(t *testing.T) {
	t.Parallel()
	first, second := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	path := filepath.Join(t.TempDir(), "admin.sock")
	admin := listen(t, "unix", path)
	app := startApp(t)
	l := launch{app: app, sockets: filesOf(t, first, admin, second), env: []string{"LISTEN_FDNAMES=clients:admin:ws-gateway.socket"}}
	for round := range 2 {
		g := l.start(t)
		if g.Addr != first.Addr().String() {
			t.Fatalf("it listens on %s, not on %s", g.Addr, first.Addr())
		}
		if got := g.Ready.Text("admin"); got != "unix:"+path {
			t.Errorf("management is at %s", got)
		}
		g.logged(t, 1, "--listen", "systemd has passed a socket") // so --listen does not count
		for i, address := range []string{first.Addr().String(), second.Addr().String()} {
			g.Addr = address
			user := fmt.Sprintf("user%d%d", round, i)
			g.Dial(t, user)
			app.opened(user)
		}
		if response, err := g.HTTP.Get("http://" + g.Addr + "/tapr/ws/conn/list"); err != nil || response.StatusCode == http.StatusOK {
			t.Errorf("management is served beside the clients too: %v", err)
		} else {
			response.Body.Close()
		}
		code, stdout, stderr := launch{args: []string{"health", "--ready", "--admin-listen", "unix:" + path}}.runToEnd(t)
		if code != 0 || stdout == "" {
			t.Errorf("health ends with %d: %s", code, stderr)
		}
		g.Signal(syscall.SIGTERM)
		if code := g.Wait(harness.Patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("systemd's socket file is gone: %v", err)
		}
		// Nobody serves now, but the port is open.
		c, err := net.Dial("tcp", first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func TestASocketThatCannotBeUsedIsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	tcp := listen(t, "tcp", "127.0.0.1:0")
	local := listen(t, "unix", filepath.Join(t.TempDir(), "s"))
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	udp, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	for _, test := range []struct {
		files []*os.File
		names string
		want  string
	}{
		{filesOf(t, tcp), "metric", "must be clients, admin or metrics"},
		{filesOf(t, local), "clients", "need a TCP socket"},
		{filesOf(t, tcp, local), "admin:admin", "two sockets with FileDescriptorName=admin"},
		{filesOf(t, tcp, local), "metrics:metrics", "two sockets with FileDescriptorName=metrics"},
		{[]*os.File{udp}, "clients", "does not listen"},
	} {
		code, _, stderr := launch{args: []string{"--no-callback"}, sockets: test.files, env: []string{"LISTEN_FDNAMES=" + test.names}}.runToEnd(t)
		if code != 1 || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d: %s", test.names, code, stderr)
		}
	}
}
