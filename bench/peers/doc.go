// Package peers holds what the gateway is compared with: a minimal WebSocket echo
// server on each of several libraries, one in C without any, and a bare gateway in C
// (c/gateway.c), which has ws-gateway's contract and says what its options are.
//
// It is a module of its own, so that the libraries never become the gateway's.
// Each folder with a main.go is a server; the others are what they share. All echo
// servers take the same options and speak the same protocol:
//
//	--listen ADDR   address to serve at; port 0 takes a free one
//	--procs N       processors to use: GOMAXPROCS, and event loops where there are any
//	--broadcast     a message that begins with "broadcast " goes to all connections
//
// Those that know compression also take --compression: permessage-deflate without
// context takeover, for clients that offer it.
//
// The bound address is printed on a line of its own. Each message is answered with
// itself, at any path. Servers end with SIGTERM and without ceremony.
//
// Each is written as its library's documentation recommends for many connections
// and small messages, and says so where it had a choice: no origin check, no
// allocation for a message that the library does not force.
package peers
