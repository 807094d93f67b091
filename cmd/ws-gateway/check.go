package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/preflight"
	"ws-gateway/cmd/ws-gateway/program"
)

// report is what check found.
type report struct {
	OK     bool              `json:"ok"`
	Checks []finding.Finding `json:"checks"`
}

// check looks at everything that a start would need and starts nothing. It binds
// the addresses for a moment, and connects to the app without asking it for
// anything. It returns the exit code.
func check(p *program.Process, cfg *config.Config) int {
	around, err := host.LookAround(cfg.MemoryShare)
	if err != nil {
		fmt.Fprintf(p.Stderr, "ws-gateway: %v\n", err)
		return program.ExitFailure
	}
	found := []finding.Finding{finding.New("configuration", finding.OK, "valid", "")}
	for _, warning := range cfg.Warnings {
		found = append(found, finding.New("configuration", finding.Warn, warning, ""))
	}
	found = append(found, preflight.Run(cfg, &around)...)
	if cfg.Callback != "" {
		found = append(found, gateway.FindApp(context.Background(), cfg))
	}
	found = append(found, cfg.JudgeSecurity()...)
	return printReport(p, cfg.Check.JSON, found, program.ExitFailure)
}

// misconfigured reports a configuration that cannot be used, and what can be said all
// the same.
func misconfigured(p *program.Process, rejected *config.Error) int {
	var found []finding.Finding
	for message := range strings.Lines(rejected.Error()) {
		found = append(found, finding.New("configuration", finding.Fail, strings.TrimSpace(message), ""))
	}
	found = append(found, preflight.Addresses(rejected.Bindings)...)
	found = append(found, preflight.Files(rejected.Outputs)...)
	return printReport(p, rejected.JSON, found, program.ExitUsage)
}

// printReport prints the findings, and returns failed if one of them is a failure.
func printReport(p *program.Process, asJSON bool, found []finding.Finding, failed int) int {
	code := program.ExitOK
	for _, f := range found {
		if f.State == finding.Fail {
			code = failed
		}
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
