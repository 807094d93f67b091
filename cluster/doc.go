// Package cluster makes the gateways of one app answer as one: a call of the management
// API at any of them is about the connections of all.
//
//	API goroutine ──hub, for what is here──────────────────────────────▶ hub
//	     │ ▲                                                              ▲
//	 mailbox│ answers                                             executor, one for
//	     ▼ │                                                     each peer, in order
//	   router: members, streams, calls that wait ◀── bus.Queue ── bus     │
//	     │  one goroutine                                                 │
//	     └──Publish──▶ bus              router ──messages that arrive─────┘
//
// One goroutine, the router, owns members and streams. API goroutines post to its
// mailbox, the bus wakes it; it never waits for either, or for the hub. What a peer's
// stream delivers its executor does, in order; a call that has to be answered is done
// on a goroutine of its own as soon as everything before it has been handed to the loops.
//
//	cluster.go   start and end
//	mailbox.go   what API goroutines post
//	router.go    the router's loop
//	membership.go  heartbeats, and what changes with the members
//	peer.go      another instance: its stream, and its executor
//	execute.go   what an executor does
//	pending.go   a call that waits for the others' answers
//	calls.go     send, close, join, leave, describe
//	lists.go     lists and counts
//	instances.go which instances there are, and calls about one of them
//	tap.go       what happens at all instances, for readers here
//	watch.go     what happens here, for readers elsewhere
//	missing.go   who could not be asked
//	relays.go    clients here of sessions elsewhere, and the other way round: package relay
//	relays_client.go  what the instance does that has the client
//	relays_session.go what the instance does that has the session
//	asks.go      how many questions a second, of all and of one address
//	shares.go    whose the relays are: of the address that has most one gives way
//	comebacks.go for how long a client is told to come back
//	returning.go instances that restart with their sessions, for which clients of others wait
//	names.go     who is here, for the others; who is at the others
//	addressed.go whom a message is for: who is sent which of its names
//	recent.go    messages that some were not sent, until it is certain that they need not be
//
// Of our packages it imports hub, netpoll for frames, and those below it.
package cluster
