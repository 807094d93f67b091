package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"ws-gateway/cmd/ws-gateway/internal/sizing"
	"ws-gateway/cmd/ws-gateway/settings"
)

// surroundings is what the machine allows, as far as it bounds the number of
// connections. A figure that cannot be read is 0 and not judged.
type surroundings struct {
	descriptors    int // the limit in force
	mostForProcess int // fs.nr_open, above which no limit can be set
	backlog        int // net.core.somaxconn
	synBacklog     int // net.ipv4.tcp_max_syn_backlog, where it counts: without SYN cookies
	firstPort      int // net.ipv4.ip_local_port_range
	lastPort       int
	reservedPorts  string // net.ipv4.ip_local_reserved_ports
	memory         memory
	memoryError    error
}

// lookAround reads the surroundings, and raises the descriptor limit as far as it
// goes.
func lookAround(memoryShare int) (surroundings, error) {
	s := readSysctls(os.DirFS("/proc/sys"))
	var err error
	if s.descriptors, err = descriptorLimit(); err != nil {
		return s, err
	}
	s.memory, s.memoryError = readMemory(memoryShare, os.Getenv("GOMEMLIMIT") != "", memlimit.FromCgroup)
	return s, nil
}

// readSysctls reads what is below /proc/sys.
func readSysctls(proc fs.FS) (s surroundings) {
	number := func(name string, place int) int {
		text, _ := fs.ReadFile(proc, name) // not there, or not for us: 0
		fields := strings.Fields(string(text))
		if place >= len(fields) {
			return 0
		}
		n, _ := strconv.Atoi(fields[place])
		return n
	}
	s.mostForProcess = number("fs/nr_open", 0)
	s.backlog = number("net/core/somaxconn", 0)
	s.firstPort, s.lastPort = number("net/ipv4/ip_local_port_range", 0), number("net/ipv4/ip_local_port_range", 1)
	reserved, _ := fs.ReadFile(proc, "net/ipv4/ip_local_reserved_ports")
	s.reservedPorts = strings.TrimSpace(string(reserved))
	if cookies, _ := fs.ReadFile(proc, "net/ipv4/tcp_syncookies"); strings.TrimSpace(string(cookies)) == "0" {
		s.synBacklog = number("net/ipv4/tcp_max_syn_backlog", 0)
	}
	return s
}

// finding is what one look at the configuration or the surroundings found.
type finding struct {
	Name    string `json:"name"`
	State   state  `json:"state"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"` // a command or a setting
}

// state is what a finding means.
type state string

const (
	stateOK   state = "ok"
	stateWarn state = "warn" // it runs, but not as well as it was asked to
	stateFail state = "fail" // it cannot run
)

// judge compares the surroundings with a configuration and the number of
// connections that it comes to. Each figure gives one finding.
func (s *surroundings) judge(c *config, connections int) []finding {
	return []finding{s.judgeDescriptors(c), s.judgeBacklog(connections), s.judgeSYNs(connections), s.judgePorts(c), s.judgeMemory(c, connections)}
}

func (s *surroundings) judgeDescriptors(c *config) finding {
	const name = "descriptors"
	reserve := fixedDescriptors + c.CallbackConcurrent
	room := s.descriptors - reserve
	switch {
	case room < fewestConnections:
		return finding{name, stateFail, fmt.Sprintf("the limit of %d is too low to run: %d are needed for the gateway itself (--callback-concurrency %d among them)",
			s.descriptors, reserve, c.CallbackConcurrent), s.raiseDescriptors(reserve + fewestConnections)}
	case c.MaxConnections > room:
		return finding{name, stateWarn, fmt.Sprintf("--max-connections %d does not fit the descriptor limit of %d, which leaves room for %d",
			c.MaxConnections, s.descriptors, room), s.raiseDescriptors(c.MaxConnections+reserve) + ", or lower --max-connections"}
	}
	return finding{name, stateOK, fmt.Sprintf("the limit of %d leaves room for %d connections", s.descriptors, room), ""}
}

// raiseDescriptors says how to get a limit. The soft limit has been raised as far
// as it goes, so that it is the hard one that must be higher.
func (s *surroundings) raiseDescriptors(to int) string {
	how := fmt.Sprintf("raise the limit to %d: LimitNOFILE=%d in the systemd unit, docker run --ulimit nofile=%d, or ulimit -n %d as root", to, to, to, to)
	if s.mostForProcess > 0 && to > s.mostForProcess {
		how += fmt.Sprintf("; before that, sysctl -w fs.nr_open=%d", to)
	}
	return how
}

// enoughBacklog holds the connections of a storm until they are accepted: loops
// accept some 25,000 a second each (ws-bench idle).
const enoughBacklog = 4096

func (s *surroundings) judgeBacklog(connections int) finding {
	want := min(connections, enoughBacklog)
	if s.backlog > 0 && s.backlog < want {
		return finding{"somaxconn", stateWarn, fmt.Sprintf("net.core.somaxconn is %d: of clients that all come back at once, those above it wait a second or more to be connected", s.backlog),
			fmt.Sprintf("sysctl -w net.core.somaxconn=%d", want)}
	}
	return finding{"somaxconn", stateOK, fmt.Sprintf("%s connections may wait to be accepted", known(s.backlog)), ""}
}

// judgeSYNs looks at half-open connections. With SYN cookies, which are the
// default, the kernel does without this limit.
func (s *surroundings) judgeSYNs(connections int) finding {
	const name = "tcp_max_syn_backlog"
	want := min(connections, enoughBacklog)
	if s.synBacklog > 0 && s.synBacklog < want {
		return finding{name, stateWarn, fmt.Sprintf("net.ipv4.tcp_max_syn_backlog is %d, and SYN cookies are off: of clients that all come back at once, some are not heard at first", s.synBacklog),
			fmt.Sprintf("sysctl -w net.ipv4.tcp_syncookies=1, or net.ipv4.tcp_max_syn_backlog=%d", want)}
	}
	if s.synBacklog == 0 {
		return finding{name, stateOK, "SYN cookies are on: it does not count", ""}
	}
	return finding{name, stateOK, fmt.Sprintf("%d connections may be half open", s.synBacklog), ""}
}

// judgePorts looks at the ports of whoever connects from here: a proxy on the
// same host, or in the same pod, needs one for each client.
func (s *surroundings) judgePorts(c *config) finding {
	const name = "ip_local_port_range"
	ports := s.lastPort - s.firstPort + 1
	switch port := portOf(c.Listen); {
	case s.lastPort == 0:
		return finding{name, stateOK, known(0), ""}
	case c.MaxConnections > ports:
		return finding{name, stateWarn, fmt.Sprintf("a proxy on this host has %d ports to connect from, fewer than --max-connections %d; it does not matter if clients or proxies of other hosts connect",
			ports, c.MaxConnections), `sysctl -w net.ipv4.ip_local_port_range="1024 65535", or let the proxy use several addresses`}
	case len(c.inherited.clients) == 0 && port >= s.firstPort && port <= s.lastPort && !strings.Contains(s.reservedPorts, strconv.Itoa(port)):
		return finding{name, stateOK, fmt.Sprintf("port %d is one that the kernel may give to an outgoing connection, and then it is taken while the gateway starts", port),
			fmt.Sprintf("sysctl -w net.ipv4.ip_local_reserved_ports=%d", port)}
	}
	return finding{name, stateOK, fmt.Sprintf("a proxy on this host has %d ports to connect from", ports), ""}
}

// connections is how many are allowed: --max-connections or, with 0, as many as the
// descriptor limit and the memory limit leave room for.
func (s *surroundings) connections(c *config) int {
	limit := connectionLimit(s.descriptors, c.MaxConnections, c.CallbackConcurrent)
	if fit := sizing.Connections(s.memory.limit, planOf(c, 0).Fixed); c.MaxConnections == 0 && fit > 0 {
		limit = min(limit, fit)
	}
	return limit
}

// judgeMemory adds up all that connections and budgets may hold.
func (s *surroundings) judgeMemory(c *config, connections int) finding {
	const name = "memory"
	limit, plan := s.memory.limit, planOf(c, connections)
	idle, held := plan.Idle(), plan.Held()
	takes := fmt.Sprintf("%d idle connections take about %s, and they, their request heads and all that is under way may hold %s more",
		connections, mebibytes(idle), mebibytes(held))
	switch {
	case s.memoryError != nil && s.memory.runtime == 0 && c.MemoryShare > 0:
		return finding{name, stateWarn, s.memoryError.Error(), "set GOMEMLIMIT, or --memory-share=0"}
	case limit == 0:
		return finding{name, stateOK, "no limit; " + takes, ""}
	case idle+held <= limit:
		return finding{name, stateOK, fmt.Sprintf("the limit is %s, and the Go runtime keeps below %s; %s", mebibytes(limit), orNone(s.memory.runtime), takes), ""}
	}
	fix := "raise the memory limit to " + mebibytes(idle+held+1<<20-1)
	switch option, to := plan.Largest(limit); option {
	case "":
	case "max-connections":
		fix += fmt.Sprintf(", or --max-connections=%d", to)
	default:
		fix += fmt.Sprintf(", or --%s=%v", option, settings.Size(to))
	}
	if idle > limit {
		return finding{name, stateWarn, fmt.Sprintf("the limit is %s, and %d idle connections alone take about %s", mebibytes(limit), connections, mebibytes(idle)), fix}
	}
	return finding{name, stateWarn, fmt.Sprintf("the limit is %s; %s", mebibytes(limit), takes), fix}
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func orNone(bytes int64) string {
	if bytes == 0 {
		return "no limit of its own"
	}
	return mebibytes(bytes)
}

func known(n int) string {
	if n == 0 {
		return "not known"
	}
	return strconv.Itoa(n)
}
