package forward

import "time"

// Health is what the callbacks tell about the app.
type Health struct {
	App      string    // its URL, without the query
	Down     bool      // it refuses connections
	Since    time.Time // the beginning of the outage; else the end of the last one, zero if there was none
	Trouble  *Trouble  // nil: it takes events, as far as anybody knows
	Failures []Failure // the newest first, at most 16
}

// Health returns a snapshot.
func (f *Forwarder) Health() Health {
	h := Health{App: f.terms.Load().target.Name, Failures: f.failures.latest(), Trouble: f.observer.state()}
	if since := f.pool.lastShift(&h.Down); since > 0 {
		h.Since = time.Now().Add(since - f.now())
	}
	return h
}
