// Package proxies holds the tests of docs/proxies.md: each configuration of that
// page, as it stands there, is run in front of the gateway.
//
//	client ──▶ nginx, HAProxy, Caddy, Apache ──▶ wire ──▶ gateway ──▶ app
//
// The wire records what the proxy sends. The tests need the build tag proxies and
// the four programs: make check-proxies.
package proxies
