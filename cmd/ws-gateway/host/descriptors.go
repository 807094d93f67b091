package host

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// FixedDescriptors are those for listeners, event loops, files and management
// requests. Beside these there is one for each callback in flight, one for each client,
// and one for each client or session that is relayed.
const FixedDescriptors = 36

// With room for fewer connections a gateway does not start.
const fewestConnections = 16

// descriptorLimit raises the soft descriptor limit to the hard one, if it may, and
// returns the limit in force. Go's runtime has raised it too, but to one below.
func descriptorLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the descriptor limit: %w", err)
	}
	if raised := (unix.Rlimit{Cur: limit.Max, Max: limit.Max}); limit.Cur < limit.Max && unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
		limit = raised
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
}

// connectionLimit returns how many connections to allow with so many descriptors.
// asked is --max-connections, 0 for as many as fit.
func connectionLimit(descriptors, asked, beside int) int {
	if asked > 0 {
		return asked
	}
	return max(0, descriptors-FixedDescriptors-beside)
}

// Unless more are asked for, so many handshakes may be under way at most: with the
// largest heads they hold 128 MiB.
const mostHandshakes = 4096

// handshakeLimit returns how many handshakes may be under way. asked is
// --max-handshaking, 0 for a sensible number.
func handshakeLimit(descriptors, asked, beside int) int {
	if asked > 0 {
		return asked
	}
	room := descriptors - FixedDescriptors - beside
	return min(max(room/4, fewestConnections), mostHandshakes)
}
