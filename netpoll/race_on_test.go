//go:build race

package netpoll

// racePoolAllocs: under the race detector sync.Pool drops some of what it is
// given, so that gobwas makes its two buffers anew.
const racePoolAllocs = 4
