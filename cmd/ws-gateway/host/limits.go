package host

import (
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"ws-gateway/cmd/ws-gateway/internal/sizing"
)

// Limits is what the machine allows, as far as it bounds the number of connections.
// A figure that cannot be read is 0 and not judged.
type Limits struct {
	Descriptors    int // the limit in force
	MostForProcess int // fs.nr_open, above which no limit can be set
	Backlog        int // net.core.somaxconn
	SYNBacklog     int // net.ipv4.tcp_max_syn_backlog, if it counts: without SYN cookies
	FirstPort      int // net.ipv4.ip_local_port_range
	LastPort       int
	ReservedPorts  string // net.ipv4.ip_local_reserved_ports
	Processors     Processors
	Memory         Memory
	MemoryError    error // why Memory is not complete
}

// Demand is what a configuration asks of the machine.
type Demand struct {
	MaxConnections      int // 0: as many as fit
	MaxHandshaking      int // 0: as many as are sensible
	CallbackConcurrency int
	Relays              int // clients and sessions of a cluster that are relayed, each, at most
	Loops               int // --loops; 0: as many as fit the processors
	Port                int // at which the gateway itself has to listen for clients; 0: none, or not known
	MemoryShare         int
	Plan                func(connections int) *sizing.Plan
}

// LookAround reads the limits, and raises the descriptor limit as far as it goes.
func LookAround(memoryShare int) (Limits, error) {
	l := readSysctls(os.DirFS("/proc/sys"))
	var err error
	if l.Descriptors, err = descriptorLimit(); err != nil {
		return l, err
	}
	l.Processors = readProcessors(os.DirFS("/"))
	l.Memory, l.MemoryError = readMemory(memoryShare, os.Getenv("GOMEMLIMIT") != "", memlimit.FromCgroup)
	return l, nil
}

// Connections is how many connections are allowed: as many as d asks for or, if it
// asks for none, as many as the descriptor limit and the memory limit leave room for.
func (l *Limits) Connections(d *Demand) int {
	limit := connectionLimit(l.Descriptors, d.MaxConnections, l.beside(d))
	if fit := sizing.Connections(l.Memory.Limit, d.Plan(0).Beside()); d.MaxConnections == 0 && fit > 0 {
		limit = min(limit, fit)
	}
	return limit
}

// DescriptorsAllow is how many connections the descriptor limit alone leaves room for.
func (l *Limits) DescriptorsAllow(d *Demand) int {
	return connectionLimit(l.Descriptors, 0, l.beside(d))
}

// Handshakes is how many handshakes may be under way.
func (l *Limits) Handshakes(d *Demand) int {
	return handshakeLimit(l.Descriptors, d.MaxHandshaking, l.beside(d))
}

// Relays is how many clients, and how many sessions, may be relayed, if so many are asked for.
func (l *Limits) Relays(asked int) int { return min(asked, l.Descriptors/relayShare) }

// relayShare is the part of the descriptors that relayed clients may have, and that
// relayed sessions may have beside their connections' own.
const relayShare = 16

// beside is how many descriptors callbacks and relays take.
func (l *Limits) beside(d *Demand) int { return d.CallbackConcurrency + 2*l.Relays(d.Relays) }

// readSysctls reads what is below /proc/sys.
func readSysctls(proc fs.FS) (l Limits) {
	number := func(name string, place int) int {
		text, _ := fs.ReadFile(proc, name) // not there, or not for us: 0
		fields := strings.Fields(string(text))
		if place >= len(fields) {
			return 0
		}
		n, _ := strconv.Atoi(fields[place])
		return n
	}
	l.MostForProcess = number("fs/nr_open", 0)
	l.Backlog = number("net/core/somaxconn", 0)
	l.FirstPort, l.LastPort = number("net/ipv4/ip_local_port_range", 0), number("net/ipv4/ip_local_port_range", 1)
	reserved, _ := fs.ReadFile(proc, "net/ipv4/ip_local_reserved_ports")
	l.ReservedPorts = strings.TrimSpace(string(reserved))
	if cookies, _ := fs.ReadFile(proc, "net/ipv4/tcp_syncookies"); strings.TrimSpace(string(cookies)) == "0" {
		l.SYNBacklog = number("net/ipv4/tcp_max_syn_backlog", 0)
	}
	return l
}
