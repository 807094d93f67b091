package scenario

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
)

// Idle measures what connections cost that are opened and then held, silent. Each
// has a user and a User-Agent.
type Idle struct {
	Conns  []int         `default:"15000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Server []string      `default:"gateway" enum:"gateway,gateway+callback,gateway+journal,netpoll" help:"Who holds them: gateway (push-only), gateway+callback (it tells an app of each), gateway+journal (the same with --journal), netpoll (the echo server); several are several cases."`
	Cookie []int         `default:"0,200" placeholder:"BYTES" help:"Size of a connection's cookie, 0 for none; several numbers are several cases."`
	Settle time.Duration `default:"4s" placeholder:"DUR" help:"Time between the last handshake and reading the figures; the gateway gives memory back in the first seconds of silence."`
}

// The servers of Idle.
const (
	idlePushOnly = "gateway"
	idleCallback = "gateway+callback"
	idleJournal  = "gateway+journal"
	idleNetpoll  = "netpoll" // which keeps no identity
)

// Cases are one for each server, number of connections and size of cookie.
func (i Idle) Cases(Options) (cases []Case, err error) {
	for _, server := range i.Server {
		for _, conns := range i.Conns {
			for _, cookie := range i.Cookie {
				one := idle{server: server, conns: conns, cookie: cookie, settle: i.Settle}
				cases = append(cases, Case{Scenario: "idle", Name: one.name(), Gateway: server != idleNetpoll, round: one.round})
			}
		}
	}
	return cases, possible("--conns", i.Conns...)
}

type idle struct {
	server        string
	peer          func(*stage) *child.Process // if not nil, starts what holds them
	conns, cookie int
	resume        bool // the connections can be resumed
	settle        time.Duration
	before        *load.Message // what all send for a while before they are idle; nil: nothing
}

func (i idle) name() string {
	name := fmt.Sprintf("%s connections to %s", count(i.conns), i.server)
	if i.server == idlePushOnly {
		name += " without callbacks"
	}
	if i.cookie > 0 {
		name += fmt.Sprintf(", cookie of %d B", i.cookie)
	}
	return name
}

// first is how many connections are open before anything is read: pools and
// first chunks of the server are no cost of the later ones.
const first = 100

// idleTraffic is how long connections send that were not always idle.
const idleTraffic = 3 * time.Second

// held is what the kernel says at one time.
type held struct {
	proc.Process
	kernel proc.Kernel
}

func look(server *child.Process) held {
	return held{must(proc.Of(server.PID())), must(proc.KernelMemory())}
}

func (i idle) round(s *stage) {
	server, told := i.start(s)
	c := s.connect(load.Config{Target: server.Addr(), Header: identity(i.cookie), Resume: i.resume, Deflate: i.before != nil && i.before.Deflated()}, min(first, i.conns/2))
	base := c.Open()
	told(base)
	s.pause(i.settle/4, server)
	before := look(server)
	s.show("connecting")
	began := time.Now()
	s.grow(c, i.conns)
	told(i.conns)
	took := time.Since(began)
	opened := must(proc.CPU(server.PID()))
	if i.before != nil {
		s.show("traffic")
		s.traffic(c, Traffic{Window: Window{Duration: idleTraffic}}, i.before, server)
	}
	s.show("holding")
	s.pause(i.settle, server)
	after := look(server)
	within("holding", func() { check(c.Check(s.ctx)) })
	i.figures(&s.outcome, i.conns-base, took, opened-before.CPU, before, after)
}

// start runs what is measured. told waits until its app, if it has one, knows of
// so many connections.
func (i idle) start(s *stage) (server *child.Process, told func(conns int)) {
	nobody := func(int) {}
	switch {
	case i.peer != nil:
		return i.peer(s), nobody
	case i.server == idleNetpoll:
		return s.echoServer(EchoLoops(s.Loops, s.Threads)), nobody
	case i.server == idlePushOnly:
		return s.gateway("", options(i.resume)...), nobody
	}
	args := slices.Clone(patient)
	if i.server == idleJournal {
		dir := must(os.MkdirTemp("", "ws-bench-journal-"))
		s.cleanup(func() { os.RemoveAll(dir) })
		args = append(args, "--journal", dir)
	}
	server, app := s.around(nil, args)
	return server, func(conns int) { s.told(app, conns, server) }
}

func (i idle) figures(o *outcome, conns int, took, cpu time.Duration, before, after held) {
	each := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(conns) }
	m, n := before.Memory, after.Memory
	o.add("resident, each", "B", each(m.Resident, n.Resident))
	o.add("resident as PSS, each", "B", each(m.Proportional, n.Proportional))
	o.add("resident as VmRSS, each", "B", each(m.VmRSS, n.VmRSS))
	o.add("resident, whole server", "MiB", mebi(n.Resident))
	o.add("resident, highest", "MiB", mebi(n.Peak))
	o.add("descriptors, each", "", float64(after.Descriptors-before.Descriptors)/float64(conns))
	o.add("handshakes", "1/s", float64(conns)/took.Seconds())
	o.add("server CPU, 1,000 handshakes", "s", cpu.Seconds()/float64(conns)*1e3)
	o.add("kernel slab, each (both ends)", "B", each(before.kernel.Slab, after.kernel.Slab))
	o.add("kernel socket buffers, each (both ends)", "B", each(before.kernel.SocketPages, after.kernel.SocketPages))
}

// mebi is a number of bytes in MiB.
func mebi(n uint64) float64 { return float64(n) / (1 << 20) }

// agents are what browsers and devices call themselves; connections share them.
var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"okhttp/4.12.0",
}

// named makes connections users whose names are prefix and a number from first on.
// Each has a User-Agent that it shares with many.
func named(prefix string, first int) func(dst []byte, conn int) []byte {
	return func(dst []byte, conn int) []byte {
		dst = append(append(dst, "User-Agent: "...), agents[conn%len(agents)]...)
		dst = append(append(dst, "\r\nX-Bfl-User: "...), prefix...)
		return append(strconv.AppendInt(dst, int64(first+conn), 10), "\r\n"...)
	}
}

// firstUser is the number in the first user's name, so that all are equally long.
const firstUser = 1_000_000

// identity gives each connection a user of its own, and a cookie of so many bytes
// that it shares with none.
func identity(cookie int) func(dst []byte, conn int) []byte {
	user := named("user-", firstUser)
	return func(dst []byte, conn int) []byte {
		if dst = user(dst, conn); cookie <= 0 {
			return dst
		}
		dst = append(dst, "Cookie: "...)
		begin := len(dst)
		dst = strconv.AppendInt(append(dst, "session="...), int64(firstUser+conn), 10)
		for len(dst)-begin < cookie {
			dst = append(dst, byte('a'+(len(dst)+conn)%26))
		}
		return append(dst, "\r\n"...)
	}
}

// user is the name that identity gives to connection n.
func user(n int) string { return "user-" + strconv.Itoa(firstUser+n) }

// usersMember is the member of a call that names count users, from first on.
func usersMember(first, count int) string {
	names := make([]string, count)
	for i := range names {
		names[i] = strconv.Quote(user(first + i))
	}
	return `"users":[` + strings.Join(names, ",") + `]`
}
