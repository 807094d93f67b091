//go:build proxies

package proxies

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// process is a program that serves on an address of the loopback.
type process struct {
	t      testing.TB
	name   string
	addr   string
	cmd    *exec.Cmd
	exited chan struct{}

	mu  sync.Mutex
	out strings.Builder // guarded by mu: what it has printed
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// startProcess runs a program and returns when it accepts connections at addr. It
// returns nil where it ends before, as it does if somebody else has the port.
func startProcess(t testing.TB, addr string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: cmd.Path, addr: addr, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	// SIGTERM, and not SIGKILL, lets it end its own children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // what it printed says more
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.printed())
		}
	})
	harness.Poll(t, p.name+" to listen", func() bool { return p.ended() || listening(addr) })
	if p.ended() {
		return nil
	}
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// stop ends it at once, as an init system does first.
func (p *process) stop() { p.end(syscall.SIGTERM) }

// end sends a signal, and kills what is still there after a while.
func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // fails only when it has ended
	grace := time.NewTimer(patience)
	defer grace.Stop()
	select {
	case <-p.exited:
	case <-grace.C:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		p.t.Errorf("%s did not end after %v", p.name, signal)
	}
	// Its group is its alone: what it has left behind ends too.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Errorf("ending what %s left: %v", p.name, err)
	}
}

// children returns the process ids of its workers.
func (p *process) children(t testing.TB) []string {
	t.Helper()
	pid := strconv.Itoa(p.cmd.Process.Pid)
	list, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(list))
}
