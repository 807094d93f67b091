package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/described"
)

// Secret marks cookies and payloads that must never reach a log. Every gateway
// is checked for it when its test ends.
const Secret = "SECRET-"

// Launch says how a gateway is started.
type Launch struct {
	Binary      string // "": the one with the race detector
	Args        []string
	Env         []string
	Descriptors int        // soft and hard limit of descriptors; 0: as many as the test has
	Sockets     []*os.File // passed on as systemd does it
	Stderr      *os.File   // instead of the Log
}

// Gateway is a running process.
type Gateway struct {
	T   testing.TB
	Cmd *exec.Cmd
	Log *Log
	Out bytes.Buffer // standard output; read it after Exited

	Ready Line   // the log line that says so, of a gateway that Start has started
	Addr  string // of the shared listener
	Own   string // of management if it has an address of its own; "": it shares

	HTTP   *http.Client // fails the test for answers that docs/openapi.yaml does not describe
	Exited chan struct{}
	Code   int // valid once Exited is closed
}

// unhurried are limits that a test may not run into because it did not get a
// processor for long, and no needless wait: a test that is about one of them gives
// its own.
var unhurried = []string{"--ping-timeout", "10m", "--handshake-timeout", "2m", "--callback-timeout", "2m", "--shutdown-timeout", "2m", "--drain-period", "0s"}

// Start runs a gateway on a free port, and waits until it is ready.
func (l Launch) Start(t testing.TB) *Gateway {
	t.Helper()
	l.Args = slices.Concat([]string{"--listen", "127.0.0.1:0"}, unhurried, l.Args)
	g := l.Run(t)
	ready, ok := g.Log.Await(Patience, func(line Line) bool { return line.Text("message") == "ready" })
	if !ok {
		t.Fatal("the gateway did not get ready")
	}
	g.Ready, g.Addr, g.Own = ready, ready.Text("listen"), ready.Text("admin")
	if g.Addr == "" {
		t.Fatalf(`the ready line has no "listen": %s`, ready.Raw)
	}
	return g
}

// Run starts the process with exactly these arguments and waits for nothing.
func (l Launch) Run(t testing.TB) *Gateway {
	t.Helper()
	g := &Gateway{T: t, Log: new(Log), Exited: make(chan struct{})}
	binary := l.Binary
	if binary == "" {
		binary = Binary(t)
	}
	g.HTTP = &http.Client{Transport: described.Transport(t, &http.Transport{}), Timeout: Patience}
	if l.Descriptors > 0 {
		script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, l.Descriptors)
		g.Cmd = exec.Command("sh", append([]string{"-c", script, binary}, l.Args...)...)
	} else if len(l.Sockets) > 0 {
		script := fmt.Sprintf(`LISTEN_FDS=%d LISTEN_PID=$$ exec "$0" "$@"`, len(l.Sockets))
		g.Cmd = exec.Command("sh", append([]string{"-c", script, binary}, l.Args...)...)
		g.Cmd.ExtraFiles = l.Sockets
	} else {
		g.Cmd = exec.Command(binary, l.Args...)
	}
	g.Cmd.Dir = t.TempDir()
	// The race detector would hold up each exit for a second.
	// On few processors Go code would run on one, and the detector would see less of it.
	procs := fmt.Sprintf("GOMAXPROCS=%d", max(2, runtime.NumCPU()))
	g.Cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.Cmd.Dir, "GORACE=atexit_sleep_ms=20", procs}, l.Env...)
	g.Cmd.Stdout = &g.Out
	var stderr io.Reader = strings.NewReader("")
	if l.Stderr != nil {
		g.Cmd.Stderr = l.Stderr
	} else {
		pipe, err := g.Cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr = pipe
	}
	if err := g.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.Exited)
		g.Log.Read(stderr)
		g.Code = ExitCode(g.Cmd.Wait())
	}()
	t.Cleanup(g.End)
	return g
}

// ExitCode is that of a process whose Wait returned err.
func ExitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

// End kills the process if it still runs and fails the test for what nobody may
// ever see in its output.
func (g *Gateway) End() {
	g.HTTP.CloseIdleConnections()
	_ = g.Cmd.Process.Kill()
	<-g.Exited
	for _, line := range g.Log.All() {
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "BUG:", Secret} {
			if strings.Contains(line.Raw, bad) {
				g.T.Errorf("the gateway's output contains %q", bad)
			}
		}
	}
	if g.T.Failed() {
		g.T.Logf("the gateway's log ends:\n%s", g.Log.Tail(80))
	}
}

// Signal sends the process a signal.
func (g *Gateway) Signal(s syscall.Signal) {
	g.T.Helper()
	Signal(g.T, g.Cmd.Process, s)
}

// Signal sends a signal to a process. After SIGSTOP it returns once all its threads are stopped:
// on a busy machine those go on for a while that the signal was not given to.
func Signal(t testing.TB, p *os.Process, s syscall.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
	if s == syscall.SIGSTOP {
		Poll(t, "the process to be stopped", func() bool { return stopped(p.Pid) })
	}
}

// stopped reports whether all threads of a process are stopped.
func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(thread string) bool {
		text, err := os.ReadFile(thread)
		_, behind, _ := strings.Cut(string(text), ") ")
		return err != nil || !strings.HasPrefix(behind, "T")
	})
}

// Wait waits for the process to end and returns its exit code.
func (g *Gateway) Wait(timeout time.Duration) int {
	g.T.Helper()
	select {
	case <-g.Exited:
		return g.Code
	case <-time.After(timeout):
		g.T.Fatalf("the gateway still runs after %v", timeout)
		return -1
	}
}

// Running reports whether the process is alive.
func (g *Gateway) Running() bool {
	select {
	case <-g.Exited:
		return false
	default:
		return true
	}
}

// Descriptors counts the process's open descriptors.
func (g *Gateway) Descriptors() int {
	g.T.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.Cmd.Process.Pid))
	if err != nil {
		g.T.Fatal(err)
	}
	return len(entries)
}

// RunToEnd runs a gateway that is expected to end by itself.
func (l Launch) RunToEnd(t testing.TB) (code int, stdout, stderr string) {
	t.Helper()
	if l.Binary == "" {
		l.Binary = Plain(t)
	}
	g := l.Run(t)
	code = g.Wait(Patience)
	return code, g.Out.String(), g.Log.Tail(1000)
}

// WriteFile puts a file of this name into a folder of its own.
func WriteFile(t testing.TB, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
