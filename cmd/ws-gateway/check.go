package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
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
func check(p *program.Process, cfg *config) int {
	around, err := host.LookAround(cfg.MemoryShare)
	if err != nil {
		fmt.Fprintf(p.Stderr, "ws-gateway: %v\n", err)
		return program.ExitFailure
	}
	found := []finding.Finding{finding.New("configuration", finding.OK, "valid", "")}
	for _, warning := range cfg.warnings {
		found = append(found, finding.New("configuration", finding.Warn, warning, ""))
	}
	found = append(found, preflight(cfg, &around)...)
	if cfg.callback != "" {
		found = append(found, appFinding(context.Background(), cfg.callback, cfg.callbackTLS))
	}
	found = append(found, cfg.securityFindings()...)
	return printReport(p, cfg.checking.JSON, found, program.ExitFailure)
}

// misconfigured reports a configuration that cannot be in force, and what can be
// said in spite of that.
func misconfigured(p *program.Process, cfg *config, err error) int {
	var found []finding.Finding
	for message := range strings.Lines(err.Error()) {
		found = append(found, finding.New("configuration", finding.Fail, strings.TrimSpace(message), ""))
	}
	if cfg.Values != nil {
		found = append(found, addressFindings(cfg)...)
		found = append(found, fileFindings(cfg)...)
	}
	return printReport(p, cfg.checking.JSON, found, program.ExitUsage)
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

// portOf is the port of a TCP address; 0 for one that is not known yet.
func portOf(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	return port
}
