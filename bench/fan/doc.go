// Package fan is a client that hears broadcasts: a crowd of connections, one of
// which has the server send a message to all of them.
//
//	Crowd ── "broadcast …" on the first connection ──▶ server
//	  ▲──────────── the same message, on every connection ───┘
//
// Everything runs on the goroutine of the caller, over an epoll. Like package load
// it shares no code with the gateway, and checks what arrives to the byte.
package fan
