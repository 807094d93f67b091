package e2e_test

import (
	"sync"
	"testing"
	"time"
)

// watched guards state that goroutines wait on: whoever changes it holds mu and
// calls changed.
type watched struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next change; nil while nobody waits
}

// changed wakes everybody who waits. The caller holds mu.
func (w *watched) changed() {
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// await waits until cond, which is called with mu held, is true. It reports
// false when that takes longer than timeout.
func (w *watched) await(timeout time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !cond() {
		if w.next == nil {
			w.next = make(chan struct{})
		}
		next := w.next
		w.mu.Unlock()
		select {
		case <-next:
			w.mu.Lock()
		case <-deadline.C:
			w.mu.Lock()
			return cond()
		}
	}
	return true
}

// poll asks cond again and again until it is true, for what the gateway shows
// only to those who ask.
func poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}
