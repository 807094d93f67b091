// Package netpoll turns sockets into WebSocket messages (RFC 6455) without a
// goroutine for each connection.
//
//	listeners ──accept──▶ Loop ──head──▶ upgrade ──frames──▶ Handler
//	(one goroutine,       (one goroutine each: an epoll, its connections,
//	 easygo's Epoll)       a shared read buffer, a cork, deadline queues)
//	                        ▲                       │
//	                        └── Post(task) ◀────────┘ from any goroutine
//
// Everything that belongs to a connection belongs to one Loop and is touched
// only on that loop's goroutine; the one way in from elsewhere is [Loop.Post].
// The methods of [Conn] must therefore be called from a [Handler] method or a
// posted task of the connection's own loop.
//
// A message reaches the Handler while it still lies in the loop's read buffer,
// unmasked in place. Output goes to the socket first; only what the kernel does
// not take is kept, in the connection's outbox. An idle connection holds no
// buffer of any kind.
//
// What heads, frames and compressed messages look like is in netpoll/wire; here is
// when they are read and written, and what is kept meanwhile. The package knows
// nothing of users, callbacks or the management API. Of the project's packages it
// imports netpoll/wire, handover/record and tokenbucket.
package netpoll
