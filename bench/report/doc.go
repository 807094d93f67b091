// Package report turns the figures of rounds into medians with their spread, and
// these into a table for people and JSON lines for programs. It reads such lines
// back and makes a report of them, for a terminal or as a page with charts. Rounds
// of two commits it writes for benchstat, which compares them.
//
// The JSON lines are, each with a "record" that names its kind: one "run" (what
// was measured on what), one "round" for each round of each case, and one
// "summary" for each case.
package report
