// Package journal remembers in JetStream which connections of an instance the app has been
// told about and has not seen closed, so that another instance can send their close events
// when this one is gone.
//
//	Opened, Meta, Closed ──▶ writer ──append if nobody else has──▶ the instance's subject
//	keeper ──which subjects are there, and do they grow?──▶ append a fence ──▶ CloseLost
//
// Each instance has a subject of one stream, wsg.<app>.journal.<instance>, and is the only
// one that appends to it: every append names the sequence number of the last one, and the
// server refuses it if there is another. While nothing happens it appends an empty batch
// now and then. An instance that a keeper does not hear, and whose subject has not grown
// for Config.DeadAfter by the keeper's own clock, is dead: the keeper appends a fence,
// which only one can do, and the subject is the keeper's from then on. It reads what is
// there, sends the close events of the connections that are open, notes each, and empties
// the subject. All the while it appends: if it dies, others see that the subject does not
// grow.
//
// An instance that comes back finds that its append is refused, and ends: Config.Fenced.
// Nobody can have fenced it before DeadAfter has passed since its last append. From a little
// earlier on it sends no close events of its own until it knows more (HoldBack); nor does it
// once it finds that it cannot record them, as whoever fences it later sends them, too.
//
// What strangers publish on a subject is no append: an append names its writer and what was
// before it, and a message that does is refused by the server when it comes once more.
// Writers, keepers and compaction leave the rest out, and count it.
//
// What is recorded is a set, as in package forward/journal: records may be there twice and
// in any order, but that a connection was closed must not be forgotten before that it was
// opened. Compaction appends what is open again and purges what was before. If the stream is
// lost, with all that was in it, what is open comes from whoever knows: Config.Again, and
// those whose close events are on their way (Ending).
//
//	journal.go  start, end, what is recorded
//	hold.go     close events that wait
//	gap.go      what was recorded and is not there any more
//	again.go    what is recorded once more if the stream is lost
//	writer.go   batches on their way to a subject
//	ledger.go   a subject: append, read, purge
//	link.go     the connection to NATS
//	leader.go   what JetStream is asked beside the library
//	record.go   records, and the set that they make
//	keeper.go   who is dead, and taking over
//
// Of our packages it imports cluster/packet.
package journal
