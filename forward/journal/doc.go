// Package journal remembers, beyond the end of the process, which connections
// the app has been told of and has not yet seen closed.
//
//	Opened, Closed ──▶ queue ──▶ writer ──▶ run folder: segments of records
//	(any goroutine)   (bounded)  (one goroutine)   │
//	Lost ◀── what earlier runs opened and never closed
//
// On disk it is a set: a connection is in it if there is a record that it was
// opened and none that it was closed. Ids are never used again, so records may
// be repeated and read in any order; only a record of closing must not be
// removed before those of opening. Everything else follows from that: a start
// writes what is left of earlier runs into the folder of its own and then removes
// theirs, oldest first, and compaction does the same within a run. Whatever is
// interrupted leaves records twice, which is harmless.
//
// The log itself, its framing, checksums and segments, is package wal below. Each batch of records is one write(2): they survive the death of
// the process, however sudden. They are synced when a segment is full, so a
// power failure or a kernel crash may take the last few, or damage them; then
// connections are missing from Lost, or are there although they were closed.
//
// The writer compacts in small steps between batches. Memory is that of the
// queue, and during compaction the ids of closed connections; an open connection
// takes none.
package journal
