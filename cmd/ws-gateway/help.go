package main

import (
	"io"
	"strconv"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/narrowhelp"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/settings"
)

const description = `A WebSocket gateway beside your app: clients hold their connections here,
your app gets their events as HTTP POSTs and sends through an HTTP API.

  ws-gateway demo                                   try it: a chat in two tabs
  ws-gateway --callback-url http://127.0.0.1:8888/ws/message
  WS_PORT=8888 WS_URL=/ws/message ws-gateway        the same
  ws-gateway --manifest OlaresManifest.yaml         the same, by the manifest
  ws-gateway --no-callback                          push only
  ws-gateway replay dead.jsonl --callback-url URL   send dead letters again
  ws-gateway check --config gateway.yaml            would it start?
  ws-gateway --config gateway.yaml --print-config   what is in force
  ws-gateway list, count, tail, send, close         ask a running gateway
  ws-gateway connect ws://127.0.0.1:40010/ws        be a client
  ws-gateway help send                              help about a command

Each --some-name is also the environment variable WS_GATEWAY_SOME_NAME and the
key some-name of the file given by --config. A flag wins over the environment,
the environment over the file, the file over the default. Durations are written
500ms, 75s or 1m30s, sizes in bytes or as 32KiB, 1MiB, 1GiB. A repeatable option
takes commas too, and a list in the file.

SIGTERM stops the gateway in good order, SIGHUP has it read its configuration
again. Exit codes: 0 stopped by a signal, 1 could not start or go on, 78 wrong
configuration. docs/ and man ws-gateway say more.`

var groups = []kong.Group{
	{Key: "clients", Title: "Clients:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "callbacks", Title: "Callbacks to the app:", Description: "--callback-url wins over --manifest, which wins over WS_PORT and WS_URL."},
	{Key: "management", Title: "Management API:"},
	{Key: "process", Title: "Process:"},
	{Key: "demo", Title: "Demo:"},
	{Key: "actions", Title: "Other:"},
}

// helpWidth is the width from which on help does not get wider.
const helpWidth = 120

// printHelp makes kong print help in two columns where they fit, and one below the
// other elsewhere.
func printHelp(out io.Writer, env settings.Environment) kong.Option {
	return kong.Help(func(options kong.HelpOptions, ctx *kong.Context) error {
		if width := columnsFor(out, env); width < narrowhelp.Below {
			return narrowhelp.Print(out, ctx, width)
		}
		return kong.DefaultHelpPrinter(options, ctx)
	})
}

// columnsFor is the width to write for, as kong sees it: COLUMNS, else the
// terminal's, else 80.
func columnsFor(out io.Writer, env settings.Environment) int {
	if n, err := strconv.Atoi(env["COLUMNS"]); err == nil && n > 0 {
		return n
	}
	if n := terminal.Width(out); n > 0 {
		return n
	}
	return 80
}
