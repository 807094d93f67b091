#!/usr/bin/env bash
# Starts a gateway and prints its metrics: deploy/prometheus/scrape.sh bin/ws-gateway
set -euo pipefail

log=$(mktemp)
"$1" --listen 127.0.0.1:0 --callback-url http://127.0.0.1:1/ --log-format json >"$log" 2>&1 &
gateway=$!
trap 'kill $gateway; wait $gateway || true; rm -f "$log"' EXIT

for _ in $(seq 100); do
  listen=$(sed -n 's/.*"listen":"\([^"]*\)".*"message":"ready".*/\1/p' "$log")
  [ -z "$listen" ] || break
  sleep 0.1
done
[ -n "$listen" ] || { cat "$log" >&2; exit 1; }
curl -fsS "http://$listen/metrics"
