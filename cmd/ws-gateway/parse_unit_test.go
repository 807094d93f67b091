package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/config/configtest"
)

func parse(args []string, env ...string) (*config.Config, error) {
	return configtest.Parse(args, env...)
}

func mustParse(t *testing.T, args []string, env ...string) *config.Config {
	t.Helper()
	return configtest.MustParse(t, args, env...)
}

func writeTemp(t *testing.T, name, content string) string {
	t.Helper()
	return configtest.WriteTemp(t, name, content)
}

// commandModel is the command line with all commands.
func commandModel() *kong.Application { return config.Parser{Clients: &cli.Commands{}}.Model() }
