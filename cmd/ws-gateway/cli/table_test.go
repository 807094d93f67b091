package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

func TestATableTakesNoMoreThanTheTerminalHasWhileItsColumnsCanGiveWay(t *testing.T) {
	columns := []column{{"A", 3}, {"ID", 0}, {"LAST", 4}}
	rows := [][]string{{"aaaaaaaa", "0123456789", strings.Repeat("x", 20)}}
	for _, test := range []struct {
		width int
		want  []int
	}{
		{0, []int{8, 10, 20}}, {42, []int{8, 10, 20}}, {41, []int{8, 10, 19}}, {26, []int{8, 10, 4}}, {25, []int{7, 10, 4}}, {21, []int{3, 10, 4}}, {5, []int{3, 10, 4}},
	} {
		got := fit(columns, rows, test.width)
		if !slices.Equal(got, test.want) {
			t.Errorf("width %d: %v, want %v", test.width, got, test.want)
		}
		line := strings.TrimSuffix(tableLine(columns, got, rows[0]), "\n")
		if n := terminal.Columns(line); test.width >= 21 && n > test.width || !strings.Contains(line, "0123456789") {
			t.Errorf("width %d: the line %q takes %d", test.width, line, n)
		}
	}
}

func TestTheHeadingComesOnceAndLaterPagesKeepTheColumns(t *testing.T) {
	now := time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC)
	table := &pagedTable{columns: connColumns, width: 60}
	var out strings.Builder
	page := func(name, agent string) {
		if err := table.write(&out, connRows([]connection{{ID: "0123", Name: name, UserAgent: agent, ConnectedAt: now.Add(-time.Hour), RemoteAddr: "127.0.0.1:1"}}, now)); err != nil {
			t.Fatal(err)
		}
	}
	page("al", "short")
	page("a long name", strings.Repeat("y", 100))
	if err := table.write(&out, nil); err != nil {
		t.Fatal(err)
	}
	want := "USER  ID    SINCE     ADDRESS      AGENT\n" +
		"al    0123  12:00:00  127.0.0.1:1  short\n" +
		"a l…  0123  12:00:00  127.0.0.1:1  " + strings.Repeat("y", 24) + "…\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if got := since(now.Add(-24*time.Hour), now); got != "2026-01-01 13:00" {
		t.Errorf("a day ago is %q", got)
	}
}

func TestGroupsAreATableAndOnNarrowTerminalsBlocks(t *testing.T) {
	rows := groupRows([]group{{"room-1", 12}, {"r\u202e", 3}})
	for width, want := range map[int]string{
		60: "GROUP    CONNECTIONS\nroom-1   12\nr\\u202e  3\n",
		12: "room-1\n  12\nr\\u202e\n  3\n",
	} {
		var out strings.Builder
		if err := (&pagedTable{columns: groupColumns, width: width}).write(&out, rows); err != nil || out.String() != want {
			t.Errorf("width %d: %q, %v, want %q", width, &out, err, want)
		}
	}
}
