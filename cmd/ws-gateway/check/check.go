// Package check is the command that looks at everything a start needs, and starts nothing.
// It binds the addresses for a moment, and connects to the app and to NATS. It sends the app
// nothing, and changes nothing in JetStream.
//
// It may import preflight, gateway, config, host, program and internal.
package check

import (
	"context"
	"fmt"
	"strings"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/preflight"
	"ws-gateway/cmd/ws-gateway/program"
)

// Run checks a configuration that is valid, and returns the exit code.
func Run(p *program.Process, c *config.Config) int {
	limits, err := host.LookAround(c.MemoryShare)
	if err != nil {
		fmt.Fprintf(p.Stderr, "ws-gateway: %v\n", err)
		return program.ExitFailure
	}
	found := []finding.Finding{finding.New("configuration", finding.OK, "valid", "")}
	for _, warning := range c.Warnings {
		found = append(found, finding.New("configuration", finding.Warn, warning, ""))
	}
	found = append(found, preflight.Run(c, &limits)...)
	if c.Callback != "" {
		found = append(found, gateway.FindApp(context.Background(), c))
	}
	if c.Clustered() {
		found = append(found, gateway.FindNATS(c)...)
	}
	found = append(found, c.JudgeSecurity()...)
	return show(p, c.Check.JSON, found, program.ExitFailure)
}

// Misconfigured reports the mistakes in a configuration, and what can be checked in spite
// of them. It returns the exit code.
func Misconfigured(p *program.Process, rejected *config.Error) int {
	var found []finding.Finding
	for message := range strings.Lines(rejected.Error()) {
		found = append(found, finding.New("configuration", finding.Fail, strings.TrimSpace(message), ""))
	}
	found = append(found, preflight.Addresses(rejected.Bindings)...)
	found = append(found, preflight.Files(rejected.Outputs)...)
	return show(p, rejected.JSON, found, program.ExitUsage)
}
