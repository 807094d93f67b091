package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ws-gateway/e2e/harness"
)

// logPipe is a gateway's standard error with a test at its other end.
type logPipe struct {
	t       *testing.T
	in, out *os.File
	lines   *bufio.Reader
}

func newLogPipe(t *testing.T) *logPipe {
	t.Helper()
	var fds [2]int // not of os.Pipe, which makes them non-blocking
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	p := &logPipe{t: t, in: os.NewFile(uintptr(fds[0]), "in"), out: os.NewFile(uintptr(fds[1]), "out")}
	p.lines = bufio.NewReader(p.in)
	t.Cleanup(func() { p.in.Close(); p.out.Close() })
	return p
}

// start starts a gateway with the pipe.
func (p *logPipe) start(a *app, args ...string) *gateway {
	p.t.Helper()
	args = append([]string{"--listen", "127.0.0.1:0", "--drain-period", "0s"}, args...)
	if a != nil {
		args = append(args, "--callback-url", a.url())
	} else {
		args = append(args, "--no-callback")
	}
	g := launch{args: args, stderr: p.out}.run(p.t)
	g.Addr = p.await("ready").Text("listen")
	return g
}

// await reads up to a line with this message.
func (p *logPipe) await(message string) logLine {
	p.t.Helper()
	for {
		raw, err := p.lines.ReadString('\n')
		if err != nil {
			p.t.Fatalf("no line %q: %v", message, err)
		}
		var fields map[string]any
		if json.Unmarshal([]byte(raw), &fields) == nil && fields["message"] == message {
			return logLine{Raw: raw, Fields: fields}
		}
	}
}

// fill leaves no room for another byte.
func (p *logPipe) fill() {
	p.t.Helper()
	fd := int(p.out.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		p.t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			if _, err := unix.Write(fd, make([]byte, size)); errors.Is(err, unix.EAGAIN) {
				break
			} else if err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		p.t.Fatal(err)
	}
}

// refuseEverything makes an app whose every answer is worth a log line.
func refuseEverything(t *testing.T) *app {
	app := startApp(t)
	app.respond(func(*call) reply { return reply{status: 404} })
	return app
}

// connectMany lets more clients in than there are callback workers and waits until
// the app has seen all of them open and close.
func connectMany(t *testing.T, g *gateway, app *app) {
	t.Helper()
	const n = 100
	var before int
	app.awaitThat("nothing", func() bool { before = len(app.calls); return true })
	for i := range n {
		g.Dial(t, fmt.Sprint("user", i)).HangUp()
	}
	app.awaitThat("the events of all", func() bool { return len(app.calls) >= before+2*n })
}

func TestALogThatNobodyReadsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	app, p := refuseEverything(t), newLogPipe(t)
	g := p.start(app, "--log-level", "debug")
	p.fill()
	connectMany(t, g, app)
	if a := g.get("/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d", a.status)
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestALogThatIsReadAgainHasWhatFitsAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	app, p := refuseEverything(t), newLogPipe(t)
	g := p.start(app)
	p.fill()
	connectMany(t, g, app)
	g.Signal(syscall.SIGTERM)
	rest, err := io.ReadAll(io.MultiReader(&onlyUntil{p, "stopped"}))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(rest), "shutting down") || !strings.Contains(string(rest), `"stopped"`) {
		t.Errorf("the log ends with %q", rest[max(0, len(rest)-500):])
	}
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// onlyUntil reads a pipe up to a line with a message.
type onlyUntil struct {
	p       *logPipe
	message string
}

func (o *onlyUntil) Read(to []byte) (int, error) {
	if o.p == nil {
		return 0, io.EOF
	}
	line, err := o.p.lines.ReadString('\n')
	if err != nil || strings.Contains(line, `"message":"`+o.message+`"`) {
		o.p = nil
	}
	return copy(to, line[max(0, len(line)-len(to)):]), err
}

func TestTheEndOfWhoReadsTheLogIsNotTheGatewaysEnd(t *testing.T) {
	t.Parallel()
	app, p := refuseEverything(t), newLogPipe(t)
	g := p.start(app)
	p.in.Close()
	p.out.Close()
	connectMany(t, g, app)
	g.awaitMetric(t, "ws_gateway_log_lines_lost_total", 1)
	c := g.Dial(t, "last")
	g.Signal(syscall.SIGTERM)
	c.ClosedWith(1001, "going away")
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestALogOnAFullDiskIsCountedAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	port := listen(t, "tcp", "127.0.0.1:0") // as nothing says which one was taken
	g := launch{
		args: []string{"--no-callback"}, stderr: full,
		sockets: filesOf(t, port), env: []string{"LISTEN_FDNAMES=clients"},
	}.run(t)
	g.Addr = port.Addr().String()
	g.awaitMetric(t, "ws_gateway_log_lines_lost_total", 1)
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestATerminalThatShowsNothingHoldsUpNothing(t *testing.T) {
	t.Parallel()
	master, terminal := deafTerminal(t)
	app := refuseEverything(t)
	port := listen(t, "tcp", "127.0.0.1:0")
	g := launch{
		app: app, args: []string{"--callback-url", app.url(), "--drain-period", "0s"}, stderr: terminal,
		sockets: filesOf(t, port), env: []string{"LISTEN_FDNAMES=clients"},
	}.run(t)
	g.Addr = port.Addr().String()
	line, err := bufio.NewReader(master).ReadString('\n')
	if err != nil || !strings.Contains(line, "INF") {
		t.Errorf("it shows %q, %v", line, err)
	}
	for range 8 { // a terminal holds 4 KiB
		connectMany(t, g, app)
	}
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// deafTerminal makes a pseudoterminal whose master only the test reads.
func deafTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

func TestWhyItCouldNotStartIsAlwaysInTheLog(t *testing.T) {
	t.Parallel()
	taken := listen(t, "tcp", "127.0.0.1:0")
	for range 20 {
		code, _, stderr := launch{args: []string{"--no-callback", "--listen", taken.Addr().String()}}.runToEnd(t)
		if code != 1 || !strings.Contains(stderr, "is taken by another process") {
			t.Fatalf("exit code %d: %q", code, stderr)
		}
	}
}

// Whoever supervises a gateway tells a wrong configuration by the exit code alone,
// and may be in no state to read its log.
func TestAWrongConfigurationIsExitCode78WhetherTheLogIsReadOrNot(t *testing.T) {
	t.Parallel()
	for reader, prepare := range map[string]func(*logPipe){
		"stopped": (*logPipe).fill,
		"ended":   func(p *logPipe) { p.in.Close() },
	} {
		for _, args := range [][]string{{}, {"--listen", "nonsense"}, {"--no-such-flag"}, {"demo", "--no-such-flag"}, {"--config", "/nonexistent"}, {"replay"}, {"health", "--listen", "nonsense"}} {
			p := newLogPipe(t)
			prepare(p)
			if code := (launch{args: args, stderr: p.out}).run(t).Wait(harness.Patience); code != exitUsage {
				t.Errorf("the reader has %s, %q: exit code %d", reader, args, code)
			}
		}
	}
}

// A warning about the configuration is the first line.
func TestAGatewayWhoseLogNobodyReadsStarts(t *testing.T) {
	t.Parallel()
	p := newLogPipe(t)
	p.in.Close()
	socket := filepath.Join(t.TempDir(), "admin")
	g := launch{
		args: []string{"--no-callback", "--listen", "127.0.0.1:0", "--admin-listen", "unix:" + socket, "--drain-period", "0s"},
		env:  []string{"WS_GATEWAY_NO_SUCH_OPTION=1"}, stderr: p.out,
	}.run(t)
	harness.Poll(t, "the gateway to start", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	g.Signal(syscall.SIGTERM)
	if code := g.Wait(harness.Patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What prints a result ends with whoever reads it, without a word.
func TestACommandEndsQuietlyWithTheReaderOfItsOutput(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for i := range 3 {
		g.Dial(t, fmt.Sprint("user", i))
	}
	for _, command := range []string{
		"list --gateway " + g.Addr,
		"tail --gateway " + g.Addr,
		"count --gateway " + g.Addr,
		"check --no-callback --listen 127.0.0.1:0",
		"--no-callback --print-config",
		"--help",
		"health --listen " + g.Addr,
		"completion bash",
	} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		in.Close() // the reader has gone before the first byte is written
		cmd := exec.Command(harness.Binary(t), strings.Fields(command)...)
		var notes bytes.Buffer
		cmd.Stdout, cmd.Stderr = out, &notes
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=20")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		harness.Poll(t, command+" to end", func() bool {
			select {
			case <-ended:
				return true
			default:
				g.Dial(t, "something to print").HangUp()
				return false
			}
		})
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE || notes.Len() > 0 {
			t.Errorf("%s: %v, it says %q", command, cmd.ProcessState, notes.String())
		}
	}
}
