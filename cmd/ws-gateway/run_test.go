package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/logtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// unitPatience bounds waits for what must happen, however busy the machine.
const unitPatience = logtest.Patience

// running is a process in this one.
type running struct {
	log     *logtest.Log
	stdout  *logtest.Log
	signals chan os.Signal
	exits   chan int // codes of immediate exits
	code    chan int
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{logtest.New(), logtest.New(), make(chan os.Signal, 2), make(chan int, 1), make(chan int, 1)}
	go func() {
		q := program.Process{Args: args, Env: settings.Environment{}, Stdout: p.stdout, Stderr: p.log, Signals: p.signals, Exit: func(code int) { p.exits <- code }}
		p.code <- run(&q)
	}()
	return p
}

func (p *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(unitPatience):
		t.Fatalf("does not end:\n%s", p.log)
		return -1
	}
}

func TestAGatewayStartsSaysWhereItIsAndEndsOnASignal(t *testing.T) {
	p := start(t, "--no-callback", "--listen=127.0.0.1:0", "--loops=2", "--max-connections=7")
	ready := p.log.Await(t, "ready")
	if ready["max_connections"] != 7.0 || ready["loops"] != 2.0 || ready["fd_limit"] == nil || ready["callback"] != nil || ready["admin"] != nil {
		t.Errorf("got %v", ready)
	}
	response, err := http.Get("http://" + ready["listen"].(string) + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if response.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", response.Status)
	}
	p.signals <- syscall.SIGTERM
	if code := p.wait(t); code != program.ExitOK {
		t.Errorf("exit code %d:\n%s", code, p.log)
	}
	stopped := p.log.Await(t, "stopped")
	if stopped["connections_closed"] != 0.0 || stopped["events_undelivered"] != 0.0 || stopped["dead_letters"] != 0.0 {
		t.Errorf("got %v", stopped)
	}
}

func TestManagementMovesToAnAddressOfItsOwn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	for _, admin := range []string{"127.0.0.1:0", "unix:" + socket} {
		p := start(t, "--callback-url=http://127.0.0.1:1/x?token=hidden", "--listen=127.0.0.1:0", "--admin-listen="+admin)
		ready := p.log.Await(t, "ready")
		if ready["callback"] != "http://127.0.0.1:1/x" {
			t.Errorf("callback is logged as %v", ready["callback"])
		}
		at := ready["admin"].(string)
		if !strings.HasPrefix(admin, "unix:") {
			at = "http://" + at
		}
		list := func(at string) (*api.Answer, error) {
			client, err := api.New(at, "", unitPatience)
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdle()
			return client.List(t.Context(), nil)
		}
		if online, err := list(at); err != nil || string(online.Data) != "[]" {
			t.Errorf("%s: got %v, %v", admin, online, err)
		}
		if _, err := list("http://" + ready["listen"].(string)); err == nil {
			t.Errorf("%s: management is served beside the clients too", admin)
		}
		p.signals <- os.Interrupt
		if code := p.wait(t); code != program.ExitOK {
			t.Errorf("%s: exit code %d:\n%s", admin, code, p.log)
		}
	}
}

func TestWhatCannotBeBoundIsOneLineThatSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	takenBy := " is taken by another process, or an outgoing connection has its port (ss -tanp 'sport = :" + port + "' shows which)"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--no-callback", "--listen", address}, "address " + address + takenBy + "; choose another with --listen or stop it"},
		{[]string{"--no-callback", "--listen=127.0.0.1:0", "--admin-listen", address}, "address " + address + takenBy + "; choose another with --admin-listen or stop it"},
		{[]string{"--no-callback", "--listen=192.0.2.1:0"}, "address 192.0.2.1:0 is not an address of this machine; choose another with --listen"},
		{[]string{"--no-callback", "--listen=127.0.0.1:0", "--admin-listen=unix:/does/not/exist/a.sock"}, "choose another with --admin-listen"},
		{[]string{"--callback-url=http://127.0.0.1:1/", "--listen=127.0.0.1:0", "--dead-letter=/does/not/exist"}, "/does/not/exist"},
		{[]string{"demo", "--listen=127.0.0.1:0", "--app-listen", address}, "address " + address + takenBy + "; choose another with --app-listen or stop it"},
		{[]string{"demo", "--app-listen=127.0.0.1:0", "--listen", address}, "choose another with --listen or stop it"},
	} {
		p := start(t, test.args...)
		if code := p.wait(t); code != program.ExitFailure || !strings.Contains(p.log.String(), test.want) || strings.Count(p.log.String(), "\n") != 1 {
			t.Errorf("%q: exit code %d:\n%s", test.args, code, p.log)
		}
	}
}

func TestAWrongConfigurationEndsWithCode2(t *testing.T) {
	for _, args := range [][]string{{}, {"--no-callback", "--lisen"}, {"--no-callback", "--loops=x"}, {"demo", "--app-listen=0.0.0.0:80"}} {
		p := start(t, args...)
		if code := p.wait(t); code != program.ExitUsage || !strings.HasPrefix(p.log.String(), "ws-gateway: ") || strings.Count(p.log.String(), "\n") != 1 {
			t.Errorf("%q: exit code %d:\n%s", args, code, p.log)
		}
	}
}

func TestHelpVersionAndTheConfigurationGoToStandardOutput(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--help", "--callback-url=URL"},
		{"demo --help", "--app-listen"},
		{"--version", "ws-gateway dev (commit "},
		{"--no-callback --print-config", "no-callback: true  # flag\n"},
	} {
		p := start(t, strings.Fields(test.args)...)
		if code := p.wait(t); code != program.ExitOK || !strings.Contains(p.stdout.String(), test.want) || p.log.String() != "" {
			t.Errorf("%s: exit code %d:\n%s%s", test.args, code, p.stdout, p.log)
		}
	}
}

func TestASecondSignalExitsAtOnce(t *testing.T) {
	p := start(t, "--no-callback", "--listen=127.0.0.1:0", "--drain-delay=8s")
	p.log.Await(t, "ready")
	p.signals <- syscall.SIGTERM
	p.log.Await(t, "shutting down")
	giveUp := time.After(unitPatience)
	for { // those within the first second are the same wish
		select {
		case p.signals <- os.Interrupt:
			continue
		case code := <-p.exits:
			if code != 130 {
				t.Errorf("exit code %d", code)
			}
		case <-giveUp:
			t.Fatal("no exit")
		}
		break
	}
	p.wait(t) // in a process of its own it would be gone
}
