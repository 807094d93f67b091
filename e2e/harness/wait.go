package harness

import (
	"sync"
	"testing"
	"time"
)

// Watched guards state that goroutines wait on: whoever changes it holds Mu and
// calls Changed.
type Watched struct {
	Mu   sync.Mutex
	next chan struct{} // closed at the next change; nil while nobody waits
}

// Changed wakes everybody who waits. The caller holds Mu.
func (w *Watched) Changed() {
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// Await waits until cond, which is called with Mu held, is true. It reports
// false when that takes longer than timeout.
func (w *Watched) Await(timeout time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for !cond() {
		if w.next == nil {
			w.next = make(chan struct{})
		}
		next := w.next
		w.Mu.Unlock()
		select {
		case <-next:
			w.Mu.Lock()
		case <-deadline.C:
			w.Mu.Lock()
			return cond()
		}
	}
	return true
}

// Poll asks cond again and again until it is true, for what the gateway shows
// only to those who ask. Who has waited long is asked for more rarely: what is true is
// found up to a tenth of the wait later, a tenth of a second at most.
func Poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	began := time.Now()
	for !cond() {
		select {
		case <-time.After(min(max(10*time.Millisecond, time.Since(began)/10), 100*time.Millisecond)):
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", Patience, what)
		}
	}
}
