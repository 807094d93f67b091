// Package packet is what gateways of a cluster write to each other: one packet is one
// message of the bus. In network byte order:
//
//	"wsg" 3 | version 1 | kind 1 | flags 1 | fragment 2
//	sender 8 | receiver 8 | sequence 8 | acknowledged 8 | request 8
//	stamp 8 | echo 8 | age 4 | length of fields 4
//	fields | payload | checksum 4
//
// The checksum is CRC-32C of all before it, so that a packet which was damaged, cut
// off or never was one is refused.
//
// A field is a tag of one byte, the length of its value as a varint, and the value.
// A tag that a reader does not know is skipped, and so is a kind: what is added later
// gets a new tag or a new kind, and the version stays. The version changes if a packet
// of before would be misread; then both versions are understood for one release, and
// testdata has packets of each.
//
// A message that is too long for a packet goes in fragments: its fields and payload,
// as one piece, are cut. All fragments have the message's sequence; their head is that
// of the message, but for the flag "more", the number of the fragment, and the length
// of fields, which the first alone has.
//
// Package packet decides nothing, starts no goroutine and imports nothing of ours.
package packet
