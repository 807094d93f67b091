package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
)

// report is what check prints.
type report struct {
	OK     bool              `json:"ok"`
	Checks []finding.Finding `json:"checks"`
}

// show prints the findings. It returns the exit code, which is failed if one of them is
// a failure.
func show(p *program.Process, asJSON bool, found []finding.Finding, failed int) int {
	code := program.ExitOK
	if slices.ContainsFunc(found, func(f finding.Finding) bool { return f.State == finding.Fail }) {
		code = failed
	}
	write := writeTable
	if asJSON {
		write = writeJSON
	}
	if err := write(p.Stdout, report{code == program.ExitOK, found}); err != nil {
		return program.ExitFailure
	}
	return code
}

func writeJSON(out io.Writer, r report) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func writeTable(out io.Writer, r report) error {
	var b strings.Builder
	count := map[finding.State]int{}
	for _, f := range r.Checks {
		count[f.State]++
		fmt.Fprintf(&b, "%-5s %-20s %s\n", f.State, f.Name, f.Message)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%-5s %-20s → %s\n", "", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %s, %s\n", count[finding.OK], terminal.Plural(count[finding.Warn], "warning"), terminal.Plural(count[finding.Fail], "failure"))
	_, err := io.WriteString(out, b.String())
	return err
}
