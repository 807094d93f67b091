#!/usr/bin/env bash
# Which module takes how much of the program: size.sh PACKAGE. Counts code and data of
# the symbols in the file, not the runtime's tables, of which each symbol has its part.
set -euo pipefail
program=$(mktemp)
trap 'rm -f "$program"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags=-w -o "$program" "$1"
go tool nm -size "$program" | awk '
  function of(name) {
    if (name ~ /^(type:|go:|runtime\.|\$f)/) return "Go: runtime, types"
    if (name ~ /^(ws-gateway\/|main\.)/) return "ours"
    if (name ~ /molecule-man\/go-brrr/) return "brotli, by way of fasthttp"
    if (name ~ /klauspost\/compress\/(zstd|huff0|fse)/) return "zstd, by way of fasthttp"
    if (name ~ /valyala\//) return "fasthttp"
    if (name ~ /(prometheus|protobuf)/) return "Prometheus client, protobuf"
    if (name ~ /alecthomas\/kong/) return "kong"
    if (name ~ /nats-io/) return "NATS client"
    if (name ~ /goccy\/go-yaml/) return "go-yaml"
    if (name ~ /gobwas|easygo|coder\/websocket|klauspost/) return "WebSocket, deflate (gobwas/ws, easygo, coder/websocket, klauspost)"
    if (name ~ /^[a-z]+\.[a-z]+\//) return "other modules (zerolog, gjson, …)"
    if (name ~ /^(vendor\/|crypto|net[.\/])/) return "Go: net, net/http, TLS"
    return "Go: the rest"
  }
  # What is zero at the start takes no room in the file; it is what is this large.
  $2 < 8e6 { size = $2; sub(/^ *[0-9a-f]+ +[0-9]+ +[A-Za-z] +/, ""); sum[of($0)] += size; all += size }
  END { for (what in sum) printf "%9d  %4.1f %%  %s\n", sum[what], 100 * sum[what] / all, what }
' | sort -rn
