// Package wheel keeps the deadlines that a loop has for its connections: one for
// each slot, in seconds, moved by a single store.
//
// It is a timing wheel without a clock, a goroutine or a lock. It imports none of
// our packages.
package wheel
