package main

import "github.com/alecthomas/kong"

const description = `A WebSocket gateway beside your app: clients hold their connections here, your app gets
their events as HTTP POSTs and sends through an HTTP API.

  ws-gateway demo                                   try it: a chat in two browser tabs
  ws-gateway --callback-url http://127.0.0.1:8888/ws/message
  WS_PORT=8888 WS_URL=/ws/message ws-gateway        the same
  ws-gateway --manifest OlaresManifest.yaml         the same, from the app's manifest
  ws-gateway --no-callback                          push only
  ws-gateway replay dead.jsonl --callback-url URL   send dead letters again
  ws-gateway check --config gateway.yaml            would it start, and which limit is too small
  ws-gateway list                                   ask a running gateway; also send, close, count, tail
  ws-gateway connect ws://127.0.0.1:40010/ws        be a client, to try things out
  ws-gateway --config gateway.yaml --print-config   show the configuration in force

Each --some-name is also the environment variable WS_GATEWAY_SOME_NAME and the key some-name
of the file given by --config. A flag wins over the environment, the environment over the
file, the file over the default. Durations are written 500ms, 75s or 1m30s, sizes in bytes
or as 32KiB, 1MiB, 1GiB. A repeatable option takes commas too, and a list in the file.`

var groups = []kong.Group{
	{Key: "clients", Title: "Clients:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "callbacks", Title: "Callbacks to the app:", Description: "--callback-url wins over --manifest, which wins over WS_PORT and WS_URL."},
	{Key: "management", Title: "Management API:"},
	{Key: "process", Title: "Process:"},
	{Key: "demo", Title: "Demo:"},
	{Key: "actions", Title: "Other:"},
}
