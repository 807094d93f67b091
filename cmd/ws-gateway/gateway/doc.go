// Package gateway is the four packages wired together, from start to shutdown:
//
//	clients ──▶ netpoll ──▶ hub ──▶ forward ──▶ app
//	              ▲          ▲
//	              └── admin ─┘◀── app, operators
//
// [New] builds the parts and binds the addresses; the parts that others call are built
// first. [Gateway.Serve] starts them, waits for a signal or a failure, reloads the
// configuration on SIGHUP, and shuts down in an order that loses nothing. If a journal
// shows that the last run has died, its connections' close events are sent first
// (recovery.go).
//
// It may import config, host, program, systemd, the pure parts below internal, and the
// packages that it wires; no command.
package gateway
