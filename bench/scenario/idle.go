package scenario

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/sink"
)

// IdleServer is what holds the connections of Idle.
type IdleServer string

// The servers of Idle.
const (
	IdlePushOnly IdleServer = "gateway"          // the gateway, without callbacks
	IdleCallback IdleServer = "gateway+callback" // the gateway, which tells the app of each connection
	IdleJournal  IdleServer = "gateway+journal"  // the same with a journal, in a folder of its own
	IdleNetpoll  IdleServer = "netpoll"          // the echo server, which keeps no identity
)

// Idle measures what connections cost that are opened and then held, silent.
// Each has a user and a User-Agent, and a cookie of cookie bytes unless that is 0.
// Figures are read settle after the last handshake.
func Idle(server IdleServer, conns, cookie int, settle time.Duration) Case {
	name := fmt.Sprintf("%s connections to %s", count(conns), server)
	if server == IdlePushOnly {
		name += " without callbacks"
	}
	if cookie > 0 {
		name += fmt.Sprintf(", cookie of %d B", cookie)
	}
	i := idle{server: server, conns: conns, cookie: cookie, settle: settle}
	return Case{Scenario: "idle", Name: name, round: i.round}
}

type idle struct {
	server        IdleServer
	peer          starter // where it is not nil, what it starts holds them
	conns, cookie int
	settle        time.Duration
}

// first is how many connections are open before anything is read: pools and
// first chunks of the server are no cost of the later ones.
const first = 100

// held is what the kernel says at one time.
type held struct {
	memory      proc.Memory
	kernel      proc.Kernel
	descriptors int
	cpu         time.Duration
}

func (i idle) round(ctx context.Context, s stage) (outcome, error) {
	var journal []string
	if i.server == IdleJournal {
		dir, err := os.MkdirTemp("", "ws-bench-journal-")
		if err != nil {
			return outcome{}, fmt.Errorf("a folder for the journal: %w", err)
		}
		defer os.RemoveAll(dir)
		journal = []string{"--journal", dir}
	}
	server, app, control, err := i.start(ctx, s, journal)
	if err != nil {
		return outcome{}, err
	}
	if app != nil {
		defer app.Stop(stopGrace)
	}
	defer server.Stop(stopGrace)
	watched := []*child.Process{server}

	c, err := s.connect(ctx, load.Config{Target: server.Addr(), Header: identity(i.cookie)}, min(first, i.conns/2))
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	base := c.Open()
	if err := i.told(ctx, s, control, base, watched); err != nil {
		return outcome{}, err
	}
	if err := pause(ctx, i.settle/4, watched); err != nil {
		return outcome{}, err
	}
	before, err := look(server)
	if err != nil {
		return outcome{}, err
	}
	s.show("connecting")
	began := time.Now()
	if err := s.grow(ctx, c, i.conns); err != nil {
		return outcome{}, err
	}
	if err := i.told(ctx, s, control, i.conns, watched); err != nil {
		return outcome{}, err
	}
	took := time.Since(began)
	opened, err := proc.CPU(server.PID())
	if err != nil {
		return outcome{}, err
	}
	s.show("holding")
	if err := pause(ctx, i.settle, watched); err != nil {
		return outcome{}, err
	}
	after, err := look(server)
	if err != nil {
		return outcome{}, err
	}
	if err := c.Check(ctx); err != nil {
		return outcome{}, fmt.Errorf("holding: %w", err)
	}
	return i.figures(i.conns-base, took, opened-before.cpu, before, after), nil
}

// start runs what is measured. journal are arguments for IdleJournal.
func (i idle) start(ctx context.Context, s stage, journal []string) (server, app *child.Process, control *sink.Control, err error) {
	if i.peer != nil {
		server, err = i.peer(ctx)
		return server, nil, nil, err
	}
	switch i.server {
	case IdleNetpoll:
		server, err = s.Servers.startEcho(ctx, EchoLoops(s.Servers.Loops, s.Threads))
		return server, nil, nil, err
	case IdleCallback, IdleJournal:
		var at sink.Control
		server, app, at, err = s.Servers.startAround(ctx, nil, append(slices.Clone(patient), journal...))
		return server, app, &at, err
	default:
		server, err = s.Servers.startGateway(ctx, "", patient)
		return server, nil, nil, err
	}
}

// told waits until the app, where there is one, has been told of all
// connections: until then opening them is not done.
func (i idle) told(ctx context.Context, s stage, control *sink.Control, conns int, watched []*child.Process) error {
	if control == nil {
		return nil
	}
	s.show("waiting for open events")
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		seen, err := control.Stats()
		if err != nil {
			return err
		}
		if seen.Failed > 0 || seen.Close > 0 || seen.Open > uint64(conns) {
			return fmt.Errorf("the app saw %d open and %d close events of %d connections, and %d failures: %s",
				seen.Open, seen.Close, conns, seen.Failed, seen.Failure)
		}
		if seen.Open == uint64(conns) {
			return nil
		}
		if err := pause(ctx, 5*time.Millisecond, watched); err != nil {
			return fmt.Errorf("the app was told of %d of %d connections: %w", seen.Open, conns, err)
		}
	}
}

func look(server *child.Process) (h held, err error) {
	if h.memory, err = proc.MemoryOf(server.PID()); err != nil {
		return h, err
	}
	if h.kernel, err = proc.KernelMemory(); err != nil {
		return h, err
	}
	if h.descriptors, err = proc.Descriptors(server.PID()); err != nil {
		return h, err
	}
	h.cpu, err = proc.CPU(server.PID())
	return h, err
}

func (i idle) figures(conns int, took, cpu time.Duration, before, after held) outcome {
	each := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(conns) }
	memoryGoal, cpuGoal := 300.0, 0.05
	switch {
	case i.server == IdleNetpoll:
		memoryGoal = 0
	case i.cookie > 200:
		memoryGoal = 0
	case i.cookie > 0:
		memoryGoal = 550
	}
	if i.server == IdleCallback || i.server == IdleJournal {
		cpuGoal = 0.08
	}
	var o outcome
	o.addWithGoal("resident, each", "B", each(before.memory.Resident, after.memory.Resident), memoryGoal)
	o.add("resident as PSS, each", "B", each(before.memory.Proportional, after.memory.Proportional))
	o.add("resident as VmRSS, each", "B", each(before.memory.VmRSS, after.memory.VmRSS))
	o.add("resident, whole server", "MiB", float64(after.memory.Resident)/(1<<20))
	o.add("resident, highest", "MiB", float64(after.memory.Peak)/(1<<20))
	o.addWithGoal("descriptors, each", "", float64(after.descriptors-before.descriptors)/float64(conns), 1)
	o.add("handshakes", "1/s", float64(conns)/took.Seconds())
	o.addWithGoal("server CPU, 1,000 handshakes", "s", cpu.Seconds()/float64(conns)*1e3, cpuGoal)
	o.add("kernel slab, each (both ends)", "B", each(before.kernel.Slab, after.kernel.Slab))
	o.add("kernel socket buffers, each (both ends)", "B", each(before.kernel.SocketPages, after.kernel.SocketPages))
	return o
}

// agents are what browsers and devices call themselves; connections share them.
var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"okhttp/4.12.0",
}

// identity adds a user of its own to each connection, a User-Agent that it
// shares with many, and a cookie of cookie bytes that it shares with none.
func identity(cookie int) func(dst []byte, conn int) []byte {
	return func(dst []byte, conn int) []byte {
		dst = append(dst, "User-Agent: "...)
		dst = append(dst, agents[conn%len(agents)]...)
		dst = append(dst, "\r\nX-Bfl-User: user-"...)
		dst = strconv.AppendInt(dst, int64(1_000_000+conn), 10)
		dst = append(dst, "\r\n"...)
		if cookie <= 0 {
			return dst
		}
		dst = append(dst, "Cookie: "...)
		begin := len(dst)
		dst = append(dst, "session="...)
		dst = strconv.AppendInt(dst, int64(1_000_000+conn), 10)
		for len(dst)-begin < cookie {
			dst = append(dst, byte('a'+(len(dst)+conn)%26))
		}
		return append(dst, "\r\n"...)
	}
}

// count writes a number for a name: 15000 as 15,000.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
