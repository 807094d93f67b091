// Package report turns the figures of rounds into medians with their spread, and
// these into a table for people and JSON lines for programs.
//
// The JSON lines are, each with a "record" that names its kind: one "run" (what
// was measured on what), one "round" for each round of each case, and one
// "summary" for each case.
package report
