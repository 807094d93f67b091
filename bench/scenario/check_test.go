package scenario

import (
	"slices"
	"testing"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
)

func TestCountsAreOfOneMessageAndWithoutTheCountingItself(t *testing.T) {
	n := counters{own: 500}
	before := counted{calls: proc.Calls{Reads: 10, Writes: 20}, sleeps: 5, turns: 40, mallocs: 1_000}
	after := counted{calls: proc.Calls{Reads: 2_010, Writes: 1_020}, sleeps: 105, turns: 240, mallocs: 4_500}
	var o outcome
	n.figures(&o, before, after, 1_000)
	want := map[string]float64{readsFigure: 2, writesFigure: 1, sleepsFigure: 0.1, turnSleepsFigure: 0.5, mallocsFigure: 3}
	has(t, o, want)
	if len(o.figures) != len(want) || len(o.notes) != 1 {
		t.Errorf("%d figures, notes %v", len(o.figures), o.notes)
	}
}

func TestEveryPromiseIsAboutAFigureThatCheckMeasures(t *testing.T) {
	n := counters{kernel: make([]*proc.Counter, len(traced))}
	var work outcome
	n.figures(&work, counted{kernel: []uint64{0, 0, 0}}, counted{kernel: []uint64{50, 6, 4}}, 10)
	if i := slices.IndexFunc(work.figures, func(f report.Figure) bool { return f.Name == workFigure }); i < 0 || work.figures[i].Value != 4 {
		t.Errorf("50 calls for ten messages, 6 and 4 of them to wait: %+v", work.figures)
	}
	counts := counted{kernel: make([]uint64, len(traced))}
	var idling, message outcome
	idle{server: idlePushOnly, conns: 2}.figures(&idling, 1, 1, 0, held{}, held{})
	n.figures(&message, counts, counts, 1)
	resumable := outcome{figures: slices.Clone(message.figures)}
	keeping(&resumable, metrics{"memory_used_bytes{resume}": checkConns})
	measured := map[string]outcome{
		idleRatios: idling, pingRatios: message, tripRatios: message, paceRatios: message,
		resumableIdleRatios: idling, resumablePingRatios: resumable, resumableTripRatios: resumable,
	}
	var summaries []report.Summary
	for name, o := range measured {
		s := report.Summarise([]report.Round{{Scenario: "check", Case: name, Figures: o.figures}})
		summaries = append(summaries, s)
	}
	all := Promised(summaries)
	if len(all) != len(promises) {
		t.Fatalf("%d promises, of which %d are measured: %+v", len(promises), len(all), all)
	}
	for i, p := range promises {
		if p.margin <= 1 || p.margin > 5 || p.promised <= 0 || all[i].Most != p.promised*p.margin {
			t.Errorf("%+v becomes %+v", p, all[i])
		}
	}
}
