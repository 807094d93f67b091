//go:build !race

package netpoll

// racePoolAllocs: without the race detector pooled buffers stay.
const racePoolAllocs = 0
