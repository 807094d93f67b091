// Package forward carries events to the app: one HTTP POST for each event, or for
// a batch of them, in order within a connection, in parallel between connections.
//
//	Open, Message, Close          worker (Config.Concurrency of them)
//	(any goroutine)                 one connection to the app each
//	    │ encode: the one copy        ▲          │ POST
//	    ▼                             │          ▼
//	lane of the connection ──▶ scheduler     the app ──▶ delivered: next event
//	(only while it has events)  ready ─ FIFO         ├──▶ retry: back-off
//	                            waiting ─ by due     └──▶ failed: log, dead letter
//	                            parked ─ app down
//
// A lane is a connection's pending events. It comes into being with the first
// and is gone with the last, so an idle connection costs nothing here. A lane
// with events is in exactly one place: ready to be attempted, waiting for a
// back-off to pass, parked while the app is unreachable, or with the one worker
// that is delivering its first event. No worker is held by a lane that waits.
//
// Three things go beside the lanes' plain way. A batch (batch.go, batching.go) is
// made of the first events of several ready lanes; its first lane stands for it
// from then on. One that the app does not take is divided (divide.go), or the app says
// which of its events it has not taken (partial.go). An authorization (authorize.go) is an open event whose answer
// somebody waits for: a lane of its own, in no table, that ends in time whatever
// the workers do. A reply (reply.go) is what an answer says to the client; Settle
// (settle.go) lets who acts for the app wait until the answers that have arrived
// have been dealt with.
//
// What decides is pure and knows no clock, lock or goroutine: the encoding
// (encode.go), the verdict on an answer and the back-off (policy.go), the choice
// of the next lane (scheduler.go), the gate that keeps everybody from knocking
// at a door that nobody answers (gate.go). Around them stand the lanes' stripes
// (lane.go), the pool with its one lock (pool.go), the workers (worker.go) and
// their connections (link.go).
//
// No lock is held while another is taken, nor while anything of the caller's,
// the network or a file is waited for. Instants are durations since the
// Forwarder was made.
//
// The open event waits, outside all of this, until the journal has the connection
// (journal.go); whatever ends an event passes by over, which tells the journal and
// replay (package main). The dead-letter file is read back by ParseLetter.
//
// The package imports none of the project's other packages.
package forward
