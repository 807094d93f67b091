package forward

import (
	"net"
	"time"
)

// A deadline of a socket is an instant of the wall's clock. A process that was
// stopped across it (SIGSTOP, a virtual machine that was paused) finds it passed
// when it goes on, and the runtime then reads no more, although the answer may have
// come long ago. So an answer is given up only when the time in which the process
// ran is over, by Config.Clock, and nothing has come.

// patientReader reads the link's connection as long as its time is not over.
type patientReader struct {
	link *link
	conn net.Conn
}

func (r *patientReader) Read(b []byte) (n int, err error) {
	for {
		n, err = r.conn.Read(b)
		if n > 0 || err == nil || !isTimeout(err) || !r.link.overslept() {
			return n, err
		}
	}
}

// allowance is how long an exchange may take.
type allowance struct {
	began  time.Duration // by Config.Clock
	length time.Duration
	looked bool // for what has come although the time is over
}

// allow notes the deadline that has just been set.
func (l *link) allow(length time.Duration) {
	if l.clock != nil {
		l.allowed = allowance{began: l.clock(), length: length}
	}
}

// overslept puts the deadline off, if there is a reason: the process did not run for
// a part of the time, or something has come meanwhile.
func (l *link) overslept() bool {
	if l.clock == nil {
		return false
	}
	left := l.allowed.length - (l.clock() - l.allowed.began)
	if left <= 0 {
		if l.allowed.looked || !l.unasked.has() {
			return false
		}
		l.allowed.looked, left = true, restLimit
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut || l.conn == nil {
		return false
	}
	l.until = time.Now().Add(left)
	return l.conn.SetDeadline(l.until) == nil
}
