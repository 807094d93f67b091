// Package interest knows which instances of a cluster have connections of a user, or
// members of a group, so that a send goes only to instances that have a target.
//
//	hub ──come, gone──▶ Local ──Flush──▶ Message ──to every instance──▶ Table ──Find──▶ Set
//	(any goroutine)        └────Piece───▶ Message ──to one that asked──▶
//
// Each instance tells the others the hashes of its names: a change at once or with
// others of the same 2 ms, and all of them to an instance that asks. What has been
// told has a Digest, which heartbeats carry: if an instance's Table has another one,
// something was missed, and it asks again.
//
// A name that hashes like another costs a send in vain and nothing else. An instance
// of which not everything is known, or of which a change may have been missed, counts as having every name, so a Table that is
// empty, behind or too small costs sends in vain, too. It never loses one.
//
//	hash.go      56 bits for a name, the same in all instances and versions
//	set.go       some of the 256 instances
//	slots.go     hashes with 8 bits beside each, in one array without pointers
//	table.go     what the others have told
//	apply.go     how a Table takes a message
//	local.go     what this instance has to tell, and has told
//	message.go   how that is written
//	digest.go    sums over hashes, which do not depend on their order
//
// Nothing here starts a goroutine, reads a clock or does I/O. It imports none of our
// packages.
package interest
