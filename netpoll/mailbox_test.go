package netpoll

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func noTask(*Loop) bool { return false }

func TestAPostWakesOnlyALoopThatSleeps(t *testing.T) {
	wakes := 0
	m := newMailbox(func() { wakes++ })
	m.post(t.Context(), noTask)
	if m.sleep() || wakes != 0 {
		t.Fatalf("sleeps with a task waiting, or was woken %d times while awake", wakes)
	}
	m.take(nil)
	if !m.sleep() {
		t.Fatal("does not sleep with nothing to do")
	}
	m.post(t.Context(), noTask)
	m.post(t.Context(), noTask)
	if wakes != 1 {
		t.Errorf("woken %d times by two posts", wakes)
	}
	m.take(nil)
	m.sleep()
	m.awake()
	m.post(t.Context(), noTask)
	if wakes != 1 {
		t.Errorf("woken although awake")
	}
}

func TestAFullMailboxMakesPostersWaitAndAStoppedOneRefuses(t *testing.T) {
	m := newMailbox(func() {})
	for range maxTasks {
		if err := m.post(t.Context(), noTask); err != nil {
			t.Fatal(err)
		}
	}
	var posters sync.WaitGroup
	var refused atomic.Int64
	for range 10 {
		posters.Go(func() {
			if err := m.post(t.Context(), noTask); errors.Is(err, ErrStopped) {
				refused.Add(1)
			}
		})
	}
	if n := m.len(); n != maxTasks {
		t.Errorf("%d tasks wait; the bound is %d", n, maxTasks)
	}
	if n := len(m.take(nil)); n != maxTasks {
		t.Errorf("took %d", n)
	}
	posters.Wait() // they have room now
	if n := len(m.stop()); n != 10 || refused.Load() != 0 {
		t.Errorf("%d tasks were left, %d refused", n, refused.Load())
	}
	if err := m.post(t.Context(), noTask); !errors.Is(err, ErrStopped) {
		t.Errorf("post after stop: %v", err)
	}
}
