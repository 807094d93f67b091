// Package load is a WebSocket client for measuring: thousands of connections on
// each of a few threads, over an epoll of its own.
//
//	Client ──▶ worker (one OS thread while it runs)
//	            ├─ dial, handshake   until its share of the connections is open
//	            ├─ Exchange          sends messages, checks every reply byte for byte,
//	            │                    or, with a Tally, what the app says that it received
//	            └─ Push              calls the management API, or has one connection
//	                                 broadcast, and checks every delivery
//	Herd   ──▶ connections that leave and come back
//
// Workers, herds and the attackers of bench/abuse open their connections with a Dialer,
// read from them through it and end them with it.
//
// It shares no code with the gateway, so that a mistake in one shows against the
// other; it masks, encodes and compares on its own. Frames and calls are built
// beforehand, only the numbers of connection or group and of message are written
// into them. Nothing is allocated for a message.
//
// A worker runs during Connect, Check and between Start or Push and End only; in
// between its connections are held and nobody reads them. Connect, Check, Tally,
// Start, Push, End and Close are for one goroutine.
package load
