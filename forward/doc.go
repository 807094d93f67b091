// Package forward carries events to the app: one HTTP POST for each event, or for
// a batch of them, in order within a connection, in parallel between connections.
//
//	Open, Message, Close          worker (Config.Concurrency of them)
//	(any goroutine)                 one connection to the app each
//	    │ encode: the one copy        ▲          │ POST
//	    ▼                             │          ▼
//	lane of the connection ──▶ scheduler     the app ──▶ delivered: next event
//	(only while it has events)  ready ─ in turn      ├──▶ retry: back-off
//	                            waiting ─ by due     └──▶ failed: log, dead letter
//	                            parked ─ app down
//
// A lane is the queue of a connection's events. It is made with the first event and is
// gone with the last, so an idle connection costs nothing here. A lane with events is in
// exactly one place: ready to be attempted, waiting for a back-off to pass, parked while
// the app is unreachable, or with the one worker that is delivering its first event. A
// lane that waits holds no worker.
//
// Three things differ from that. A batch (batch.go, batching.go) is made of the first
// events of several ready lanes; from then on its first lane stands for all of them. If
// the app does not take a batch, it is divided (divide.go), unless the app says which
// events it has not taken (partial.go). An authorization (authorize.go) is an open event
// whose answer somebody waits for: it has a lane of its own, in no table, which ends in
// time whatever the workers do. A reply (reply.go) is what an answer says to the client;
// it may also name groups that the connection joins and leaves (regroup.go).
// Settle (settle.go) lets whoever acts for the app wait until the answers that have
// arrived have been dealt with.
//
// Every event ends in one place (ending.go): delivered, failed, left by Drain, or as an
// authorization that has its answer. That place counts it, logs it, writes the dead
// letter, tells the journal and replay, and releases its memory. Two kinds never get there:
// those that another process goes on with (hold.go, export.go), and those of another
// process for which there is no room here (import.go).
//
// What decides is pure and knows no clock, lock or goroutine: the encoding (encode.go),
// the meaning of an answer and the back-off (policy.go), the choice of the next lane
// (scheduler.go), and the circuit breaker that keeps all but one from trying an app that
// cannot be reached (breaker.go). Around them are the lanes' stripes (lane.go), the pool
// with its one lock (pool.go) and the workers (worker.go). A POST itself is package
// callback's.
//
// No lock is held while another is taken, nor while anything of the caller's, the
// network or a file is waited for. Instants are durations since the Forwarder was made.
//
// An open event waits, outside all of this, until the journal has the connection
// (journal.go). The dead-letter file is package deadletter's, and Redeliver takes what it
// has read back.
//
// The package imports forward/callback, forward/deadletter, forward/headers,
// forward/quote and forward/trouble, which do not import it, hub/groups, which imports
// nothing of ours, for the names of groups, handover/record and jsoncheck.
package forward
