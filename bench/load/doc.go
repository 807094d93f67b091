// Package load is a WebSocket client for measuring: thousands of connections on
// each of a few threads, over an epoll of its own.
//
//	Client ──▶ worker (one OS thread while it runs)
//	            ├─ dial, handshake   until its share of the connections is open
//	            └─ Exchange          sends messages, checks every reply byte for byte
//
// It shares no code with the gateway, so that a mistake in one shows against the
// other; it masks, encodes and compares on its own. Frames are built beforehand,
// only the number of connection and message is written into them. Nothing is
// allocated for a message.
//
// A worker runs during Connect, Check and between Start and End of an Exchange
// only; in between its connections are held and nobody reads them. Connect,
// Check, Start, End and Close are for one goroutine.
package load
