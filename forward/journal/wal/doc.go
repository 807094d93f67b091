// Package wal is an append-only log of records, in a folder of segments that one
// writer makes one after the other.
//
// A segment is a file: empty, or eight bytes that name the format, then records, each
//
//	length 4 | checksum 4 | payload
//
// in little-endian order. The checksum is CRC-32C of length and payload, so that
// neither a torn tail nor a damaged length is ever taken for a record. A record is
// never split between segments. What cannot be read ends its segment, and only that.
//
// Package wal imports nothing of ours.
package wal
