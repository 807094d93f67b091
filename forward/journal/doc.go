// Package journal remembers, beyond the end of the process, which connections the app has
// been told about and has not yet seen closed.
//
//	Opened, Closed ──▶ queue ──▶ writer ──▶ run folder: segments of records
//	(any goroutine)   (bounded)  (one goroutine)   │
//	Lost ◀── what earlier runs opened and never closed
//
// On disk it is a set: a connection is in it if there is a record that it was
// opened and none that it was closed. Ids are never used again, so records may
// be repeated and read in any order; only, the record that a connection was closed must
// not be removed before those that it was opened. Everything else follows from that. A
// start writes what is left of earlier runs to its own folder and then removes theirs,
// oldest first; compaction does the same within a run. An interruption leaves records
// twice, which is harmless.
//
// The log itself, with its framing, checksums and segments, is package wal below. Each
// batch of records is one write(2), so they survive however suddenly the process dies.
// They are synced when a segment is full. A power failure or a kernel crash may take the
// last few or damage them; then connections are missing from Lost, or are there although
// they were closed.
//
// The writer compacts in small steps between batches. It takes memory for the queue and,
// during compaction, for the ids of closed connections; of open ones only for the ids of those
// that have metadata or were renamed.
//
// The package imports wal, and nothing else of ours.
package journal
