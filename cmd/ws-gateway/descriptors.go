package main

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Descriptors that are not a client's: 36 for listeners, event loops, files and
// management requests, and one for each callback in flight.
const fixedDescriptors = 36

// The least number of connections that a gateway is started for.
const fewestConnections = 16

// descriptorLimit raises the soft limit of descriptors to the hard one, where it
// may, and returns what it then is. Go's runtime has raised it too, but to one
// below.
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

// connectionLimit returns how many connections to allow under a descriptor
// limit. asked is --max-connections, 0 for as many as fit.
func connectionLimit(descriptors, asked, concurrency int) int {
	if asked > 0 {
		return asked
	}
	return max(0, descriptors-fixedDescriptors-concurrency)
}

// most handshakes that are under way unless more are asked for: with the largest
// heads they hold 128 MiB.
const mostHandshakes = 4096

// handshakeLimit returns how many handshakes may be under way. asked is
// --max-handshaking, 0 for as many as are sensible.
func handshakeLimit(descriptors, asked, concurrency int) int {
	if asked > 0 {
		return asked
	}
	room := descriptors - fixedDescriptors - concurrency
	return min(max(room/4, fewestConnections), mostHandshakes)
}
