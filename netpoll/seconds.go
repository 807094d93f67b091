package netpoll

// Deadlines count the seconds in which the loop ran. A process that was stopped
// (SIGSTOP, a paused virtual machine, a host without a free processor) has not read
// what clients sent meanwhile, and must read it before it judges them. So
//
//   - if several seconds have passed since the last tick, one counts, and
//   - its work is done only after all connections that were ready when it came have
//     been read once.

// seconds says when a second counts for a loop. It is a pure state machine.
type seconds struct {
	due    bool     // a second has passed that Loop.now does not count yet
	missed uint32   // seconds before it, which do not count
	unread [2]int64 // how many events of each epoll must be served before it counts
}

// passed notes that the timer has counted n seconds since the last call. Each of the
// connections may have input.
func (s *seconds) passed(n uint32, connections int64) {
	if s.due { // the one before does not count yet
		s.missed += n
		return
	}
	s.due, s.missed, s.unread = true, n-1, [2]int64{connections, connections}
}

// caughtUp notes that the events of one wait have been served, by epoll, and reports
// whether the second counts now. It does if there were fewer events of each than a wait can
// return: then no more connections were ready. Otherwise epoll reports connections in turn,
// and after as many events as there are connections each has been served.
func (s *seconds) caughtUp(served [2]int) bool {
	s.due = false
	for set, most := range [2]int{established: maxEvents, transients: transientsPerTurn} {
		s.unread[set] -= int64(served[set])
		s.due = s.due || served[set] == most && s.unread[set] > 0
	}
	return !s.due
}
