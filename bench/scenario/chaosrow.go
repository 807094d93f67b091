package scenario

import (
	"fmt"
	"strings"

	"ws-gateway/bench/chaos"
	"ws-gateway/bench/report"
)

// figures makes a variant's row.
func (u *chaosRun) figures(f *chaos.Findings, e *chaos.Evidence, counts metrics) {
	faults := 0
	var kinds []string
	for _, kind := range chaos.Faults() {
		if n := e.Faults[kind]; n > 0 {
			faults += n
			kinds = append(kinds, fmt.Sprintf("%s %s", report.Count(float64(n)), kind))
		}
	}
	for _, one := range []struct {
		head, name string
		value      int
	}{
		{"conns", "connections", f.Connections}, {"events", "events", f.Events}, {"attempts", "attempts", f.Attempts},
		{"unseen", "attempts unseen", f.Unseen}, {"faults", "faults", faults}, {"duplicates", "duplicates", f.Duplicates},
		{"dead letters", "dead letters", f.Letters}, {"lost", "lost", f.Lost}, {"reordered", "reordered", f.Reordered},
		{"", "answers that came late", f.Late},
	} {
		u.column(one.head, one.name, "", float64(one.value))
	}
	for _, kind := range chaos.Faults() {
		u.add("fault: "+kind.String(), "", float64(e.Faults[kind]))
	}
	u.note("faults: %s", strings.Join(kinds, ", "))
	ends := make(map[chaos.End]int)
	for _, c := range e.Clients {
		ends[c.End]++
	}
	u.note("clients: %d closed, %d reset, %d left, %d closed by the app, %d refused",
		ends[chaos.Clean], ends[chaos.Reset], ends[chaos.Left], ends[chaos.ByApp], ends[chaos.Never])
	if u.pipeline > 1 {
		u.note("%s events were written behind another one", report.Count(counts["callback_pipelined_total"]))
	}
}

// accounts holds the gateway's own counts against what was found.
func (u *chaosRun) accounts(f *chaos.Findings, counts metrics) {
	failed := counts.sum("callbacks_failed_total")
	if settled := counts.sum("callbacks_delivered_total") + failed; settled != float64(f.Events) {
		u.broken.say("the gateway counts %v events that were delivered or failed, and there were %d", settled, f.Events)
	}
	if upgraded := counts["upgraded_total"]; upgraded != float64(f.Connections) {
		u.broken.say("the gateway counts %v upgrades, and events speak of %d connections", upgraded, f.Connections)
	}
	if failed != float64(f.Letters) || counts["dead_letters_total"] != failed {
		u.broken.say("the gateway counts %v failed events and %v dead letters, and there are %d", failed, counts["dead_letters_total"], f.Letters)
	}
}

// exit says how the gateway ended, if not well, and what the race detector saw.
func (u *chaosRun) exit() {
	if code := u.server.ExitCode(); code != 0 {
		u.broken.say("the gateway ended with exit code %d", code)
	}
	races(u.dir, &u.broken)
}
