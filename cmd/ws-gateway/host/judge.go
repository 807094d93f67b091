package host

import (
	"fmt"
	"strconv"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/settings"
)

// Judge compares the limits with a demand and the number of connections that it
// comes to. Each figure gives one finding.
func (l *Limits) Judge(d *Demand, connections int) []finding.Finding {
	return []finding.Finding{l.judgeDescriptors(d), l.judgeBacklog(connections), l.judgeSYNs(connections), l.judgePorts(d), l.Processors.judge(d.Loops), l.judgeMemory(d, connections)}
}

func (l *Limits) judgeDescriptors(d *Demand) finding.Finding {
	const name = "descriptors"
	reserve := FixedDescriptors + l.beside(d)
	room := l.Descriptors - reserve
	switch {
	case room < fewestConnections:
		return finding.New(name, finding.Fail, fmt.Sprintf("the limit of %d is too low to run: %d are needed for the gateway itself (--callback-concurrency %d among them)",
			l.Descriptors, reserve, d.CallbackConcurrency), l.raiseDescriptors(reserve+fewestConnections))
	case d.MaxConnections > room:
		return finding.New(name, finding.Warn, fmt.Sprintf("--max-connections %d does not fit the descriptor limit of %d, which leaves room for %d",
			d.MaxConnections, l.Descriptors, room), l.raiseDescriptors(d.MaxConnections+reserve)+", or lower --max-connections")
	}
	return finding.New(name, finding.OK, fmt.Sprintf("the limit of %d leaves room for %d connections", l.Descriptors, room), "")
}

// raiseDescriptors says how to raise the limit. The soft limit has been raised as far
// as it goes, so the hard limit must be higher.
func (l *Limits) raiseDescriptors(to int) string {
	how := fmt.Sprintf("raise the limit to %d: LimitNOFILE=%d in the systemd unit, docker run --ulimit nofile=%d, or ulimit -n %d as root", to, to, to, to)
	if l.MostForProcess > 0 && to > l.MostForProcess {
		how += fmt.Sprintf("; before that, sysctl -w fs.nr_open=%d", to)
	}
	return how
}

// enoughBacklog holds the connections of a reconnect storm until they are accepted:
// each loop accepts some 25,000 a second (ws-bench idle).
const enoughBacklog = 4096

func (l *Limits) judgeBacklog(connections int) finding.Finding {
	want := min(connections, enoughBacklog)
	if l.Backlog > 0 && l.Backlog < want {
		return finding.New("somaxconn", finding.Warn, fmt.Sprintf("net.core.somaxconn is %d: of clients that all come back at once, those above it wait a second or more to be connected", l.Backlog),
			fmt.Sprintf("sysctl -w net.core.somaxconn=%d", want))
	}
	return finding.New("somaxconn", finding.OK, fmt.Sprintf("%s connections may wait to be accepted", known(l.Backlog)), "")
}

// judgeSYNs looks at half-open connections. With SYN cookies, which are the default,
// the kernel has no such limit.
func (l *Limits) judgeSYNs(connections int) finding.Finding {
	const name = "tcp_max_syn_backlog"
	want := min(connections, enoughBacklog)
	if l.SYNBacklog > 0 && l.SYNBacklog < want {
		return finding.New(name, finding.Warn, fmt.Sprintf("net.ipv4.tcp_max_syn_backlog is %d, and SYN cookies are off: of clients that all come back at once, some are not heard at first", l.SYNBacklog),
			fmt.Sprintf("sysctl -w net.ipv4.tcp_syncookies=1, or net.ipv4.tcp_max_syn_backlog=%d", want))
	}
	if l.SYNBacklog == 0 {
		return finding.New(name, finding.OK, "SYN cookies are on: it does not count", "")
	}
	return finding.New(name, finding.OK, fmt.Sprintf("%d connections may be half open", l.SYNBacklog), "")
}

// judgePorts looks at the local ports for outgoing connections: a proxy on the same
// host, or in the same pod, needs one for each client.
func (l *Limits) judgePorts(d *Demand) finding.Finding {
	const name = "ip_local_port_range"
	ports := l.LastPort - l.FirstPort + 1
	switch port := d.Port; {
	case l.LastPort == 0:
		return finding.New(name, finding.OK, known(0), "")
	case d.MaxConnections > ports:
		return finding.New(name, finding.Warn, fmt.Sprintf("a proxy on this host has %d ports to connect from, fewer than --max-connections %d; it does not matter if clients or proxies of other hosts connect",
			ports, d.MaxConnections), `sysctl -w net.ipv4.ip_local_port_range="1024 65535", or let the proxy use several addresses`)
	case port >= l.FirstPort && port <= l.LastPort && !strings.Contains(l.ReservedPorts, strconv.Itoa(port)):
		return finding.New(name, finding.OK, fmt.Sprintf("port %d is one that the kernel may give to an outgoing connection, and then it is taken while the gateway starts", port),
			fmt.Sprintf("sysctl -w net.ipv4.ip_local_reserved_ports=%d", port))
	}
	return finding.New(name, finding.OK, fmt.Sprintf("a proxy on this host has %d ports to connect from", ports), "")
}

// judgeMemory compares the memory limit with what connections and budgets may hold.
func (l *Limits) judgeMemory(d *Demand, connections int) finding.Finding {
	const name = "memory"
	limit, plan := l.Memory.Limit, d.Plan(connections)
	idle, held := plan.Idle(), plan.Held()
	takes := fmt.Sprintf("%d idle connections take about %s, and they, their request heads and all that is under way may hold %s more",
		connections, mebibytes(idle), mebibytes(held))
	switch {
	case l.MemoryError != nil && l.Memory.Runtime == 0 && d.MemoryShare > 0:
		return finding.New(name, finding.Warn, l.MemoryError.Error(), "set GOMEMLIMIT, or --memory-share=0")
	case limit == 0:
		return finding.New(name, finding.OK, "no limit; "+takes, "")
	case idle+held <= limit:
		return finding.New(name, finding.OK, fmt.Sprintf("the limit is %s, and the Go runtime keeps below %s; %s", mebibytes(limit), orNone(l.Memory.Runtime), takes), "")
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
		return finding.New(name, finding.Warn, fmt.Sprintf("the limit is %s, and %d idle connections alone take about %s", mebibytes(limit), connections, mebibytes(idle)), fix)
	}
	return finding.New(name, finding.Warn, fmt.Sprintf("the limit is %s; %s", mebibytes(limit), takes), fix)
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
