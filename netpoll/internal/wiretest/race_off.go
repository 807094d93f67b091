//go:build !race

package wiretest

// Race says that the race detector is on.
const Race = false
