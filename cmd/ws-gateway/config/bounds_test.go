package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/internal/sizing"
)

// boundsTable is the table of bounds in ARCHITECTURE.md, without its head.
func boundsTable(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Bounds\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"); strings.HasPrefix(line, "| ") {
			rows = append(rows, cells)
		}
	}
	if len(rows) < 2 || strings.TrimSpace(rows[0][2]) != "all together" {
		t.Fatalf("the table of bounds has no column for all connections together: %q", rows)
	}
	return rows[1:]
}

func TestEveryBoundSaysWhatAllMayHoldTogether(t *testing.T) {
	options := map[string]bool{}
	for _, v := range mustParse(t, []string{"--no-callback"}).Values {
		options[v.Name] = true
	}
	named := map[string]bool{}
	for _, row := range boundsTable(t) {
		if len(row) != 4 {
			t.Errorf("%q: %d cells", row, len(row))
			continue
		}
		for i, cell := range row {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: cell %d is empty", row[0], i)
			}
		}
		for _, name := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(strings.Join(row, " "), -1) {
			named[name[1]] = true
			if !options[name[1]] {
				t.Errorf("%s: there is no option --%s", row[0], name[1])
			}
		}
	}
	for i := range sizing.Budgets {
		if option := sizing.Budgets[i].Option; !named[option] {
			t.Errorf("the table does not name --%s", option)
		}
	}
}

func TestEveryBudgetHasAMetric(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md") // whose table is made from the metrics
	if err != nil {
		t.Fatal(err)
	}
	for option, series := range map[string]string{
		"header-memory": "headers", "outbox-memory": "outboxes", "message-memory": "messages", "socket-memory": "sockets", "api-memory": "api", "group-memory": "groups", "resume-memory": "resume",
	} {
		line := regexp.MustCompile("(?m)^. `ws_gateway_memory_used_bytes`.*$").FindString(string(text))
		if !strings.Contains(line, series) {
			t.Errorf("--%s has no metric: %s", option, line)
		}
	}
	if !strings.Contains(string(text), "`ws_gateway_callback_queue_bytes`") {
		t.Error("--callback-memory has no metric")
	}
	if !strings.Contains(string(text), "`ws_gateway_cluster_held_bytes`") {
		t.Error("--cluster-buffer has no metric")
	}
	if len(sizing.Budgets) != 9 {
		t.Errorf("%d budgets: is each of them here?", len(sizing.Budgets))
	}
}
