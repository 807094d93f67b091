// Package relay carries the bytes of a client's connection between the instance at which
// the client is and the one that has its session.
//
//	client ── socket ── End ── packets ── End ── socket pair ── loop with the session
//
// What the bytes mean nobody asks here. Packets of one relay are numbered in each
// direction, and nothing is sent again: a gap ends the relay, on both sides, and the client
// comes back, as after any lost connection. The session's own counts make that right. So a
// relay has no part in the streams between instances, and one whose client does not read
// holds up nobody: an End sends no more than the other side has said that it takes, and
// reads no more than it may send.
//
//	frame.go  what is in a packet
//	flow.go   numbers and bytes that may be sent: without clock, goroutine or I/O
//	end.go    an End and its two goroutines
//
// It imports cluster/packet.
package relay
