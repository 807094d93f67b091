// Package stream carries what one gateway tells another: messages with numbers, in
// order, each at most once. The bus below may lose, repeat and hold up packets; what
// is lost is sent again, for as long as it is held, and what is given up is counted.
//
//	Send ──▶ outgoing: held until taken ──▶ Transmit ─ ─ bus ─ ─▶ Receive
//	            ▲                                                    │
//	            └── Acknowledge, Ask ◀─ ─ bus ─ ─ incoming: next? ──▶ Message
//
// A Stream is both directions between two instances; each packet carries the
// acknowledgement for the other direction. The receiver keeps nothing that is out of
// order: it says where it is, and the sender goes back there. So a loss costs what was
// under way, which is a window at most, and a receiver costs no memory. A bus that
// often changes the order costs many packets; NATS keeps it. If the peer is silent, it
// is asked with Probe, so that one which is only slow gets nothing twice.
//
// What becomes of a message:
//
//   - It is taken: the receiver got it in its place and acknowledged it.
//   - It is given up by its sender: it was held for Config.Hold, its memory was
//     needed, or the bus takes only shorter packets since a part of it was sent.
//     Skip then tells the receiver to go on behind it, and the receiver counts as
//     lost what it has not had.
//   - It arrives, but late: more than Config.Hold after it was sent. Then it is
//     ignored, as if the bus had lost it. No clocks are compared for that: see clock.
//
// So what was sent is what was delivered and what its receiver has counted as lost,
// and, at the sender's end, what is in doubt because the peer has not said yet.
//
// A stream begins at a number made of the time, so that a Stream which is made anew
// for the same peer goes on behind everything that an earlier one has sent.
//
// Nothing here is safe for concurrent use, reads a clock or starts a goroutine: one
// goroutine owns all streams, says what time it is, and calls Tick when Due says so.
// Times are the process's own, since any moment before the first of them; they only go
// forward. Of our packages stream imports cluster/packet.
package stream
