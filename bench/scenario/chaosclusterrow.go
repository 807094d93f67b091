package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ws-gateway/badlink"
	"ws-gateway/bench/chaos"
	"ws-gateway/bench/report"
)

// judge holds everything against what must be, and makes the variant's row.
func (u *clusterRun) judge(quiet time.Duration) {
	var conns, events, wrong, counted int
	var instances []chaos.Instance
	for _, l := range u.lives {
		instances = append(instances, chaos.Instance{Name: l.name, Clients: l.clients})
		counted += uncertain(l.counts)
		if l.killed {
			conns += len(l.clients)
			continue // its app has to live with what it was told; its clients with how they ended
		}
		e := chaos.Evidence{
			Record: l.record, Clients: l.clients, Odd: l.odd, Timeouts: int(l.counts["callback_outcomes_total{timeout}"]),
			Timeout: restTimeout, RetryFor: 2 * restTimeout,
		}
		f := chaos.Audit(e)
		for _, b := range f.Broken {
			u.broken.say("%s: %s", l.name, b)
		}
		for _, s := range l.senders {
			u.broken = append(u.broken, s.Odd...)
		}
		conns, events, wrong = conns+f.Connections, events+f.Events, wrong+f.Lost+f.Reordered
		if code := l.gateway.ExitCode(); code != 0 {
			u.broken.say("%s ended with exit code %d", l.name, code)
		}
	}
	d := chaos.AuditSends(u.senders, instances, counted)
	u.broken = append(u.broken, d.Broken...)
	races(u.dir, &u.broken)
	u.figures(&d, conns, events, wrong, counted)
	u.column("equal s", "until all knew the same, once nobody came or went", "s", quiet.Seconds())
	u.notes = append(u.notes, u.said())
}

// uncertain is how many messages a gateway says have not arrived, or may not have.
func uncertain(m metrics) int {
	return int(m["cluster_messages_lost_total"] + m["cluster_messages_in_doubt_total"] + m["cluster_messages_too_long_total"])
}

func (u *clusterRun) figures(d *chaos.Deliveries, conns, events, wrong, counted int) {
	faults := u.server.restarts + u.server.stops + len(u.lives) - together
	for _, n := range u.did {
		faults += n
	}
	for _, one := range []struct {
		head, name string
		value      int
	}{
		{"conns", "connections", conns}, {"events", "events", events}, {"wrong events", "events lost or out of order", wrong},
		{"faults", "faults", faults}, {"sends", "sends", d.Sends}, {"received", "messages received", d.Received},
		{"of others", "of these, messages sent at other instances", d.Remote}, {"lost", "lost", d.Lost},
		{"counted", "messages that the instances count as lost or doubtful", counted},
		{"excused", "messages not received, as the answer had said", d.Excused}, {"twice", "received twice", d.Twice},
		{"early", "received before one that was sent before", d.Early},
	} {
		u.column(one.head, one.name, "", float64(one.value))
	}
}

// said is what failed, and what the gateways say that they did.
func (u *clusterRun) said() string {
	var what []string
	for _, f := range badlink.Faults() {
		if n := u.did[f]; n > 0 {
			what = append(what, fmt.Sprintf("%d %s", n, f))
		}
	}
	if u.server.restarts+u.server.stops > 0 {
		what = append(what, fmt.Sprintf("%d restarts and %d stops of the server", u.server.restarts, u.server.stops))
	}
	if n := len(u.lives) - together; n > 0 {
		what = append(what, fmt.Sprintf("%d gateways killed", n))
	}
	sum := metrics{}
	for _, l := range u.lives {
		for k, v := range l.counts {
			sum[k] += v
		}
	}
	for _, one := range []struct{ name, says string }{
		{"cluster_links_total", "links"}, {"cluster_packets_repeated_total", "packets sent again"},
		{"cluster_packets_ignored_total{late}", "too late"}, {"cluster_packets_ignored_total{malformed}", "damaged"},
		{"cluster_messages_lost_total", "messages lost"}, {"cluster_messages_skipped_total", "not sent for want of a target"},
		{"cluster_messages_repaired_total", "of these repaired"}, {"cluster_names_asked_again_total", "resyncs"},
	} {
		what = append(what, report.Count(sum[one.name])+" "+one.says)
	}
	return strings.Join(what, ", ")
}

// races says what the race detector has seen.
func races(dir string, broken *invariants) {
	reports, _ := filepath.Glob(filepath.Join(dir, "race.*")) // fails only for a malformed pattern
	for _, name := range reports {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(err.Error())
		}
		const most = 8 << 10
		broken.say("the race detector: %s", strings.TrimSpace(string(text[:min(most, len(text))])))
	}
}
