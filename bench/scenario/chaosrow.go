package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ws-gateway/bench/chaos"
	"ws-gateway/bench/report"
)

// Names of figures.
const (
	chaosConnections = "connections"
	chaosEvents      = "events"
	chaosAttempts    = "attempts"
	chaosFaults      = "faults"
	chaosDuplicates  = "duplicates"
	chaosUnseen      = "attempts unseen"
	chaosLost        = "lost"
	chaosReordered   = "reordered"
	chaosLetters     = "dead letters"
)

// ChaosColumns are the columns of chaos's table.
func ChaosColumns() []report.Column {
	return []report.Column{
		{Head: "conns", Figure: chaosConnections}, {Head: "events", Figure: chaosEvents}, {Head: "attempts", Figure: chaosAttempts},
		{Head: "unseen", Figure: chaosUnseen}, {Head: "faults", Figure: chaosFaults}, {Head: "duplicates", Figure: chaosDuplicates},
		{Head: "dead letters", Figure: chaosLetters}, {Head: "lost", Figure: chaosLost}, {Head: "reordered", Figure: chaosReordered},
	}
}

// round makes a variant's row.
func (u *upheaval) round(f *chaos.Findings, e *chaos.Evidence, h report.Host) report.Round {
	var o outcome
	total := 0
	var kinds []string
	for _, kind := range chaos.Faults() {
		if n := e.Faults[kind]; n > 0 {
			total += n
			kinds = append(kinds, fmt.Sprintf("%s %s", report.Count(float64(n)), kind))
		}
	}
	for _, figure := range []struct {
		name  string
		value int
	}{
		{chaosConnections, f.Connections}, {chaosEvents, f.Events}, {chaosAttempts, f.Attempts}, {chaosUnseen, f.Unseen}, {chaosFaults, total},
		{chaosDuplicates, f.Duplicates}, {chaosLetters, f.Letters}, {chaosLost, f.Lost}, {chaosReordered, f.Reordered},
		{"answers that came late", f.Late},
	} {
		o.add(figure.name, "", float64(figure.value))
	}
	for _, kind := range chaos.Faults() {
		o.add("fault: "+kind.String(), "", float64(e.Faults[kind]))
	}
	o.notes = append(o.notes, fold(kinds, 120)...)
	ends := make(map[chaos.End]int)
	for _, c := range e.Clients {
		ends[c.End]++
	}
	o.notes = append(o.notes, fmt.Sprintf("clients: %d closed, %d reset, %d left, %d closed by the app, %d refused",
		ends[chaos.Clean], ends[chaos.Reset], ends[chaos.Left], ends[chaos.ByApp], ends[chaos.Never]))
	if u.pipeline > 1 {
		o.notes = append(o.notes, fmt.Sprintf("%s events were written behind another one", report.Count(float64(u.behind))))
	}
	return report.Round{
		Record: "round", Scenario: "chaos", Case: u.name, Round: 1, Figures: o.figures, Notes: o.notes, Broken: f.Broken, Host: h,
	}
}

// fold joins words to lines of about this many characters.
func fold(words []string, width int) (lines []string) {
	var line string
	for _, w := range words {
		switch {
		case line == "":
			line = w
		case len(line)+len(w) > width:
			lines, line = append(lines, line), w
		default:
			line += ", " + w
		}
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}

// accounts holds the gateway's own counts against what was found.
func accounts(f *chaos.Findings, counts metrics) (broken []string) {
	settled := counts.sum("callbacks_delivered_total") + counts.sum("callbacks_failed_total")
	if settled != float64(f.Events) {
		broken = append(broken, fmt.Sprintf("the gateway counts %v events that were delivered or failed, and there were %d", settled, f.Events))
	}
	if upgraded := counts["upgraded_total"]; upgraded != float64(f.Connections) {
		broken = append(broken, fmt.Sprintf("the gateway counts %v upgrades, and events speak of %d connections", upgraded, f.Connections))
	}
	if n := counts.sum("callbacks_failed_total"); n != float64(f.Letters) || counts["dead_letters_total"] != n {
		broken = append(broken, fmt.Sprintf("the gateway counts %v failed events and %v dead letters, and there are %d", n, counts["dead_letters_total"], f.Letters))
	}
	return broken
}

// exit says how the gateway ended, if not well, and what the race detector saw.
func (u *upheaval) exit() (broken []string) {
	if code := u.gateway.ExitCode(); code != 0 {
		broken = append(broken, fmt.Sprintf("the gateway ended with exit code %d", code))
	}
	reports, _ := filepath.Glob(filepath.Join(u.dir, "race.*")) // fails only for a malformed pattern
	for _, name := range reports {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(err.Error())
		}
		const most = 8 << 10
		broken = append(broken, "the race detector: "+strings.TrimSpace(string(text[:min(most, len(text))])))
	}
	return broken
}
