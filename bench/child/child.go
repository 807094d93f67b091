// Package child runs the servers under test as processes of their own, so that
// what the kernel says of such a process is the server's cost alone.
package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to start.
type Spec struct {
	Name string // for messages
	Path string
	Args []string
	Env  []string // beside this process's own

	// Ready looks at each line that the process prints, on either stream, and
	// returns the address that it serves at once one says so.
	Ready func(line string) (netip.AddrPort, bool)
}

// Process is a child that runs, or ran.
type Process struct {
	name  string
	cmd   *exec.Cmd
	addr  netip.AddrPort
	ready chan netip.AddrPort
	done  chan struct{}

	mu   sync.Mutex
	tail []string // guarded by mu: the last lines printed
}

const (
	tailLines = 20
	lineBytes = 64 << 10 // a longer line is cut into several
)

// Start runs a process and returns when it says that it is ready. The process
// does not outlive this one. The caller must call Stop.
func Start(ctx context.Context, s Spec) (*Process, error) {
	p := &Process{name: s.Name, cmd: exec.Command(s.Path, s.Args...), ready: make(chan netip.AddrPort, 1), done: make(chan struct{})}
	// A group of its own keeps Ctrl-C from it: who started it stops it, in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.Env != nil {
		p.cmd.Env = append(os.Environ(), s.Env...)
	}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	go p.watch(out, s.Ready)
	go func() { in.CloseWithError(p.cmd.Wait()) }() // ends watch
	select {
	case p.addr = <-p.ready:
		return p, nil
	case <-p.done:
		return nil, p.Alive()
	case <-ctx.Done():
		p.Kill()
		return nil, fmt.Errorf("%s did not get ready: %w; it printed:\n%s", s.Name, ctx.Err(), p.printed())
	}
}

// watch reads what the process prints, line by line, until it has ended.
func (p *Process) watch(out io.Reader, ready func(string) (netip.AddrPort, bool)) {
	defer close(p.done)
	lines := bufio.NewReaderSize(out, lineBytes)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		p.keep(string(line))
		if addr, ok := ready(string(line)); ok {
			select {
			case p.ready <- addr:
			default: // said before
			}
		}
	}
}

func (p *Process) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tail) == tailLines {
		p.tail = append(p.tail[:0], p.tail[1:]...)
	}
	p.tail = append(p.tail, line)
}

func (p *Process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// Last is the last line that the process has printed.
func (p *Process) Last() string {
	printed := p.printed()
	return printed[strings.LastIndexByte(printed, '\n')+1:]
}

// Addr is where the process serves.
func (p *Process) Addr() netip.AddrPort { return p.addr }

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// ErrEnded is wrapped by the error of Alive.
var ErrEnded = errors.New("the process has ended")

// Alive returns an error with the last lines that the process printed, if it
// has ended.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s: %w (%v); it printed:\n%s", p.name, ErrEnded, p.cmd.ProcessState, p.printed())
	default:
		return nil
	}
}

// ExitCode is that of a process that has ended, -1 if a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Stop ends the process: with SIGTERM, and after grace with SIGKILL. It returns
// when the process is gone.
func (p *Process) Stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		p.Kill()
	}
}

// Kill ends the process with SIGKILL. It returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}
