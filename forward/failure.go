package forward

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// In each ten seconds so many failures are logged one by one, and of the others their
// number.
const (
	loggedAtATime = 10
	loggedEvery   = 10 * time.Second
)

// keptFailures is how many of the last failures are remembered.
const keptFailures = 16

// Failure is an event that failed for good: its name and why, never what is in it.
type Failure struct {
	Time      time.Time
	RequestID string
	Action    string
	Attempts  int
	Status    int // of the app's last answer; 0: there was none
	Reason    Outcome
}

// throttle lets a number of lines pass in each ten seconds and counts the rest.
type throttle struct {
	since      time.Duration // when the current ten seconds began
	passed     int
	suppressed int
}

// pass reports whether a line may be written at now.
func (t *throttle) pass(now time.Duration) bool {
	if t.passed == 0 || now-t.since >= loggedEvery {
		t.since, t.passed = now, 0
	}
	if t.passed < loggedAtATime {
		t.passed++
		return true
	}
	t.suppressed++
	return false
}

// failures logs the events that failed for good: their names and why, never what is in
// them. While the app takes no events, the observer sums them up instead.
type failures struct {
	summedUp func() bool
	log      zerolog.Logger
	now      func() time.Duration
	held     chan struct{} // has one place: a line has been held back
	quit     chan struct{}

	mu       sync.Mutex
	throttle throttle // guarded by mu, as the following
	recent   [keptFailures]Failure
	count    int // of failures; number n is in recent[n%keptFailures]
}

func newFailures(log zerolog.Logger, now func() time.Duration) *failures {
	return &failures{log: log, now: now, summedUp: func() bool { return false }, held: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (f *failures) report(e *event, o Outcome, status int) {
	f.mu.Lock()
	f.rememberLocked(e, o, status)
	if f.summedUp() {
		f.mu.Unlock()
		return
	}
	pass := f.throttle.pass(f.now())
	f.mu.Unlock()
	if !pass {
		select {
		case f.held <- struct{}{}:
		default:
		}
		return
	}
	line := f.log.Warn().Bytes("request_id", e.requestID()).Stringer("action", e.action).Int("attempts", e.attempts)
	if status != 0 {
		line = line.Int("status", status)
	} else {
		line = line.Stringer("error", o)
	}
	line.Msg("callback failed for good")
}

// summarise logs how many lines were held back, at most once in ten seconds, until quit
// is closed.
func (f *failures) summarise() {
	for {
		select {
		case <-f.held:
		case <-f.quit:
			f.logSuppressed()
			return
		}
		pause := time.NewTimer(loggedEvery)
		select {
		case <-pause.C:
		case <-f.quit:
		}
		pause.Stop()
		f.logSuppressed()
	}
}

func (f *failures) logSuppressed() {
	f.mu.Lock()
	n := f.throttle.take()
	f.mu.Unlock()
	if n > 0 {
		f.log.Warn().Int("suppressed", n).Msg("more callbacks failed for good than are logged one by one")
	}
}

// name adds to line what names the last failure.
func (f *failures) name(line *zerolog.Event) *zerolog.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		return line
	}
	last := &f.recent[(f.count-1)%keptFailures]
	return line.Str("last_request_id", last.RequestID).Str("last_action", last.Action).Int("last_attempts", last.Attempts)
}

// take returns how many lines have been held back since it was last called.
func (t *throttle) take() int {
	n := t.suppressed
	t.suppressed = 0
	return n
}

// rememberLocked keeps a failure for Health.
func (f *failures) rememberLocked(e *event, o Outcome, status int) {
	f.recent[f.count%keptFailures] = Failure{
		Time: time.Now(), RequestID: string(e.requestID()), Action: e.action.String(),
		Attempts: e.attempts, Status: status, Reason: o,
	}
	f.count++
}

// latest returns what is remembered, the newest first.
func (f *failures) latest() []Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := make([]Failure, 0, min(f.count, keptFailures))
	for i := range cap(last) {
		last = append(last, f.recent[(f.count-1-i)%keptFailures])
	}
	return last
}
