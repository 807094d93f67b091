//go:build race

package wiretest

// Race says that the race detector is on, which makes everything about ten times
// slower.
const Race = true
