// Package abuse is the hostile client: one attacker, on one goroutine with an
// epoll of its own, does one kind of harm on thousands of connections.
//
//	Attacker.Run ──turn──▶ the next connection: dial, or handshake, or Kind's move
//	             ──epoll─▶ what the server says is counted and thrown away
//
// Turns come at a fixed rate and go round the connections. A connection that the
// server has ended is dialled again when its turn comes, so that the attack goes
// on. Whoever falls behind skips turns: the rate is a ceiling, and the processors
// are left to others.
package abuse
