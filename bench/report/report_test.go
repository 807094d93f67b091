package report

import (
	"bytes"
	"testing"
)

func TestMedians(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 100, 1, 2}, 3}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("%v: got %v, want %v", c.values, got, c.want)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0414: "0.041", 0.9996: "1.00", 1.234: "1.23", 9.996: "10.0", 37.04: "37.0", 99.96: "100", 287.4: "287",
		1234: "1,234", 92310.7: "92,311", 1234567: "1,234,567", -12.345: "-12.3", -1234: "-1,234", 999.6: "1,000",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

func rounds() []Round {
	figures := func(rate, cpu float64) []Figure {
		return []Figure{{Name: "messages", Unit: "1/s", Value: rate}, {Name: "server CPU, a million", Unit: "s", Value: cpu, Goal: 12.7}}
	}
	return []Round{
		{Scenario: "echo", Case: "1,000 connections", Round: 1, Figures: figures(90_000, 13), Notes: []string{"busy"}, Host: Host{Others: 0.02}},
		{Scenario: "echo", Case: "1,000 connections", Round: 2, Figures: figures(92_000, 12), Host: Host{Steal: 0.1}},
		{Scenario: "echo", Case: "1,000 connections", Round: 3, Figures: figures(91_000, 12.5), Notes: []string{"busy", "late"}, Broken: []string{"one is lost"}},
	}
}

func TestASummaryHasMedianSpreadAndGoal(t *testing.T) {
	s := Summarise(rounds())
	rate, cpu := s.Lines[0], s.Lines[1]
	if rate.Median != 91_000 || rate.Min != 90_000 || rate.Max != 92_000 || rate.Met || len(rate.Values) != 3 {
		t.Errorf("rate %+v", rate)
	}
	if cpu.Median != 12.5 || !cpu.Met {
		t.Errorf("cpu %+v", cpu)
	}
	if len(s.Notes) != 2 || s.Notes[0] != (Note{"busy", 2}) || s.Notes[1] != (Note{"late", 1}) {
		t.Errorf("notes %+v", s.Notes)
	}
	if s.Others.Max != 2 || s.Steal.Max != 10 || s.Steal.Median != 0 {
		t.Errorf("others %+v, steal %+v", s.Others, s.Steal)
	}
}

func TestTheTableIsAligned(t *testing.T) {
	got := Table(Summarise(rounds()))
	const want = `echo: 1,000 connections; 3 rounds
  echo                   unit  median     min     max    goal
  ─────────────────────  ────  ──────  ──────  ──────  ──────  ───
  messages               1/s   91,000  90,000  92,000
  server CPU, a million  s       12.5    12.0    13.0  ≤ 12.7  met
  machine: others used 0 % of it (at most 2.00), its host took 0 % (at most 10.0)
  note: busy (2 of 3 rounds)
  note: late (1 of 3 rounds)
  BROKEN: one is lost (1 of 3 rounds)

`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRowsHaveTheirVerdictAndWhatIsToBeSaid(t *testing.T) {
	rows := []Round{
		{Case: "calm", Figures: []Figure{{Name: "good replies", Head: "replies", Value: 16_000}, {Name: "latency", Head: "p99 ms", Unit: "ms", Value: 2}, {Name: "more"}}},
		{Case: "pings", Figures: []Figure{{Name: "good replies", Head: "replies", Value: 7}}, Notes: []string{"gateway: closed 50"}, Broken: []string{"one reply was lost"}},
	}
	got := Rows("abuse", rows)
	const want = `  abuse  replies  p99 ms  verdict
  ─────  ───────  ──────  ───────
  calm    16,000    2.00  ok
  pings        7          BROKEN

  calm
  pings
    gateway: closed 50
    BROKEN: one reply was lost

`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProgressStaysOnOneLine(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, 10)
	p.Say("round %d", 1)
	p.Say("round %d of a thousand", 1)
	p.Clear()
	Progress{}.Say("nobody looks")
	if got := out.String(); got != "\r\x1b[Kround 1\r\x1b[Kround 1 …\r\x1b[K" {
		t.Errorf("got %q", got)
	}
}
