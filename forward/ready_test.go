package forward

import (
	"fmt"
	"testing"
	"time"
)

// flood returns lanes whose next event is an open or a close, and lanes with a message,
// all of them added to s in this order.
func flood(s *scheduler, news, messages int) (of [2][]*lane) {
	for i := range news + messages {
		l := &lane{key: uint64(i), head: &event{action: actionMessage}}
		if i < news {
			l.head.action = []action{actionOpen, actionClose}[i%2]
		}
		of[kindOf(l)] = append(of[kindOf(l)], l)
		s.add(l, 0)
	}
	return of
}

func TestMessagesDoNotWaitBehindAFloodOfOpensAndCloses(t *testing.T) {
	s := testScheduler(100)
	lanes := flood(s, 20, 3)
	for i := range 3 {
		s.expect(t, 0, lanes[0][i], jobAttempt)
		s.expect(t, 0, lanes[1][i], jobAttempt)
	}
	for _, l := range lanes[0][3:] {
		s.expect(t, 0, l, jobAttempt)
	}
	s.nothing(t, 0, never)
}

func TestOpensAndClosesDoNotWaitBehindAFloodOfMessages(t *testing.T) {
	s := testScheduler(100)
	lanes := flood(s, 0, 20)
	for i := range 5 {
		s.expect(t, 0, lanes[1][i], jobAttempt)
	}
	late := flood(s, 2, 0)
	s.expect(t, 0, late[0][0], jobAttempt)
	s.expect(t, 0, lanes[1][5], jobAttempt)
	s.expect(t, 0, late[0][1], jobAttempt)
	for _, l := range lanes[1][6:] {
		s.expect(t, 0, l, jobAttempt)
	}
}

func TestABatchAndAPipelineTakeBothKindsInTurn(t *testing.T) {
	take := func(s *scheduler) (kinds []int) {
		j, ok := s.next(0)
		if !ok {
			t.Fatal("nothing to do")
		}
		s.chain(j)
		for l := j.lane; l != nil; l = l.next {
			kinds = append(kinds, kindOf(l))
		}
		return kinds
	}
	s := testScheduler(1)
	s.batching = newBatching(6, 0, func() int64 { return 100 })
	flood(s, 20, 2)
	equal(t, "a batch", fmt.Sprint(take(s)), "[0 1 0 1 0 0]")
	s = testScheduler(1)
	s.pipeline(5, 0)
	flood(s, 20, 2)
	equal(t, "a pipeline", fmt.Sprint(take(s)), "[0 1 0 1 0]")
}

func TestABatchLingersForTheFirstOfEitherKind(t *testing.T) {
	for first := range 2 {
		s := testScheduler(4)
		waits := int64(4)
		s.batching = newBatching(2, 50*ms, func() int64 { return waits })
		lanes := flood(s, 2, 2)
		for _, l := range append(lanes[0], lanes[1]...) {
			l.head.queued = 20 * ms
			if kindOf(l) == first {
				l.head.queued = 10 * ms
			}
		}
		if _, ok := s.next(20 * ms); !ok {
			t.Fatal("a full batch does not leave")
		}
		waits = 1
		s.nothing(t, 20*ms, 60*ms)
	}
}

func TestWhileTheAppIsDownAllReadyLanesAreParked(t *testing.T) {
	s := testScheduler(8)
	lanes := flood(s, 3, 3)
	s.expect(t, 0, lanes[0][0], jobAttempt)
	s.ended(jobAttempt, Unreachable, 0, time.Second)
	equal(t, "parked", len(s.parked), 5)
	equal(t, "ready", s.ready.len(), 0)
}
