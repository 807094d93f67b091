package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secret marks cookies and payloads that must never reach a log. Every gateway
// is checked for it when its test ends.
const secret = "SECRET-"

// launch says how a gateway is started.
type launch struct {
	app         *app   // its URL becomes --callback-url; nil leaves that to args
	binary      string // "": the one with the race detector
	args        []string
	env         []string
	descriptors int        // soft and hard limit of descriptors; 0: as many as the test has
	sockets     []*os.File // passed on as systemd does it
	stderr      *os.File   // instead of the logbook
}

// gateway is a running process.
type gateway struct {
	t    testing.TB
	cmd  *exec.Cmd
	log  *logbook
	out  bytes.Buffer // standard output; read it after exited
	addr string       // of the shared listener
	own  string       // of management where it has an address of its own; "": it shares

	http   *http.Client
	exited chan struct{}
	code   int // valid once exited is closed
}

// startGateway runs a gateway on a free port that calls a, and waits until it
// is ready.
func startGateway(t testing.TB, a *app, args ...string) *gateway {
	t.Helper()
	return launch{app: a, args: args}.start(t)
}

// startPushOnly runs a gateway that calls nobody.
func startPushOnly(t testing.TB, args ...string) *gateway {
	t.Helper()
	return launch{args: append([]string{"--no-callback"}, args...)}.start(t)
}

// unhurried are limits that a test may not run into because it did not get a
// processor for long, and no needless wait: a test that is about one of them gives
// its own.
var unhurried = []string{"--ping-timeout", "10m", "--handshake-timeout", "2m", "--callback-timeout", "2m", "--shutdown-timeout", "2m", "--drain-period", "0s"}

func (l launch) start(t testing.TB) *gateway {
	t.Helper()
	l.args = slices.Concat([]string{"--listen", "127.0.0.1:0"}, unhurried, l.args)
	if l.app != nil {
		l.args = append(l.args, "--callback-url", l.app.url())
	}
	g := l.run(t)
	ready, ok := g.log.await(patience, func(line logLine) bool { return line.text("message") == "ready" })
	if !ok {
		t.Fatal("the gateway did not get ready")
	}
	g.addr, g.own = ready.text("listen"), ready.text("admin")
	if g.addr == "" {
		t.Fatalf(`the ready line has no "listen": %s`, ready.raw)
	}
	return g
}

// run starts the process with exactly these arguments and waits for nothing.
func (l launch) run(t testing.TB) *gateway {
	t.Helper()
	g := &gateway{t: t, log: new(logbook), exited: make(chan struct{})}
	g.http = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	if l.descriptors > 0 {
		script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, l.descriptors)
		g.cmd = exec.Command("sh", append([]string{"-c", script, gatewayBinary}, l.args...)...)
	} else if len(l.sockets) > 0 {
		script := fmt.Sprintf(`LISTEN_FDS=%d LISTEN_PID=$$ exec "$0" "$@"`, len(l.sockets))
		g.cmd = exec.Command("sh", append([]string{"-c", script, gatewayBinary}, l.args...)...)
		g.cmd.ExtraFiles = l.sockets
	} else {
		g.cmd = exec.Command(cmp.Or(l.binary, gatewayBinary), l.args...)
	}
	g.cmd.Dir = t.TempDir()
	// The race detector would hold up each exit for a second.
	g.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.cmd.Dir, "GORACE=atexit_sleep_ms=20"}, l.env...)
	g.cmd.Stdout = &g.out
	var stderr io.Reader = strings.NewReader("")
	if l.stderr != nil {
		g.cmd.Stderr = l.stderr
	} else {
		pipe, err := g.cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr = pipe
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.exited)
		g.log.read(stderr)
		g.code = exitCode(g.cmd.Wait())
	}()
	t.Cleanup(g.end)
	return g
}

func exitCode(err error) int {
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

// end kills the process if it still runs and fails the test for what nobody may
// ever see in its output.
func (g *gateway) end() {
	g.http.CloseIdleConnections()
	_ = g.cmd.Process.Kill()
	<-g.exited
	for _, line := range g.log.all() {
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "BUG:", secret} {
			if strings.Contains(line.raw, bad) {
				g.t.Errorf("the gateway's output contains %q", bad)
			}
		}
	}
	if g.t.Failed() {
		g.t.Logf("the gateway's log ends:\n%s", g.log.tail(80))
	}
}

func (g *gateway) signal(s syscall.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

// wait waits for the process to end and returns its exit code.
func (g *gateway) wait(timeout time.Duration) int {
	g.t.Helper()
	select {
	case <-g.exited:
		return g.code
	case <-time.After(timeout):
		g.t.Fatalf("the gateway still runs after %v", timeout)
		return -1
	}
}

// running reports whether the process is alive.
func (g *gateway) running() bool {
	select {
	case <-g.exited:
		return false
	default:
		return true
	}
}

// descriptors counts the process's open descriptors.
func (g *gateway) descriptors() int {
	g.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	return len(entries)
}

// runToEnd runs a gateway that is expected to end by itself.
func (l launch) runToEnd(t testing.TB) (code int, stdout, stderr string) {
	t.Helper()
	g := l.run(t)
	code = g.wait(patience)
	return code, g.out.String(), g.log.tail(1000)
}

// logbook collects the lines of a process's standard error.
type logbook struct {
	watched
	lines []logLine
	ended bool
}

// logLine is one line; fields is nil where it is not a JSON object.
type logLine struct {
	raw    string
	fields map[string]any
}

func (l logLine) text(field string) string {
	s, _ := l.fields[field].(string)
	return s
}

func (l logLine) number(field string) int {
	n, ok := l.fields[field].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

func (b *logbook) read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := logLine{raw: scanner.Text()}
		if json.Unmarshal(scanner.Bytes(), &line.fields) != nil {
			line.fields = nil
		}
		b.mu.Lock()
		b.lines = append(b.lines, line)
		b.changed()
		b.mu.Unlock()
	}
	b.mu.Lock()
	b.ended = true
	b.changed()
	b.mu.Unlock()
}

// await returns the first line, past or future, that match likes. It gives up
// after timeout, or at once when the process has ended.
func (b *logbook) await(timeout time.Duration, match func(logLine) bool) (found logLine, ok bool) {
	seen := 0
	b.watched.await(timeout, func() bool {
		for ; seen < len(b.lines) && !ok; seen++ {
			if match(b.lines[seen]) {
				found, ok = b.lines[seen], true
			}
		}
		return ok || b.ended
	})
	return found, ok
}

func (b *logbook) all() []logLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]logLine(nil), b.lines...)
}

// matching returns the lines so far that contain all of parts, in any case.
func (b *logbook) matching(parts ...string) (found []logLine) {
	for _, line := range b.all() {
		if containsAll(strings.ToLower(line.raw), parts) {
			found = append(found, line)
		}
	}
	return found
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// tail returns the last n lines as text.
func (b *logbook) tail(n int) string {
	lines := b.all()
	var text strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		text.WriteString(line.raw)
		text.WriteByte('\n')
	}
	return text.String()
}

// writeFile puts a file of this name into a folder of its own.
func writeFile(t testing.TB, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
