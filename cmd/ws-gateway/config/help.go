package config

import (
	"github.com/alecthomas/kong"
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
  ws-gateway groups, join, leave, meta              about groups and metadata
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
	{Key: "cluster", Title: "Several gateways as one:", Description: "NATS carries what they tell each other."},
	{Key: "process", Title: "Process:"},
	{Key: "demo", Title: "Demo:"},
	{Key: "actions", Title: "Other:"},
}
