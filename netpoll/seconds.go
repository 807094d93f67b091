package netpoll

// Deadlines are judged in seconds in which the loop ran. A process that was stopped
// (SIGSTOP, a virtual machine that was paused, a host without a free processor) has
// not heard what clients sent meanwhile, and must not judge them before it has. So
//
//   - of several seconds that have passed since the last tick one counts, and
//   - its work is done only when everything that was ready when it came has been
//     read once.

// seconds is the passing of time, as a loop sees it. It is a pure state machine.
type seconds struct {
	due    bool   // a second has passed that is not in Loop.now
	missed uint32 // seconds before it that do not count
	unread int64  // events to be served before it counts
}

// passed notes that the timer has counted n seconds since the last time. As many
// connections as there are may have something to read.
func (s *seconds) passed(n uint32, connections int64) {
	if s.due { // the one before is still waited for
		s.missed += n
		return
	}
	s.due, s.missed, s.unread = true, n-1, connections
}

// caughtUp takes in that the events of one wait have been served, and reports true
// once the second counts. Fewer than a wait can return are all there were. Of more,
// epoll tells in turn: after as many events as there are connections each has been
// served.
func (s *seconds) caughtUp(served int) bool {
	s.unread -= int64(served)
	if served == maxEvents && s.unread > 0 {
		return false
	}
	s.due = false
	return true
}
