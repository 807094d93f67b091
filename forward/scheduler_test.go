package forward

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// testScheduler retries for 10 s and has no jitter: back-offs last 100 ms,
// 200 ms, 400 ms and so on.
func testScheduler(workers int) *scheduler {
	s := newScheduler(&policy{random: func() float64 { return 0 }}, 10*time.Second, workers)
	return &s
}

func testLanes(n int) []*lane {
	lanes := make([]*lane, n)
	for i := range lanes {
		lanes[i] = &lane{key: uint64(i), head: &event{}}
	}
	return lanes
}

// expect takes a job that must be for l.
func (s *scheduler) expect(t *testing.T, now time.Duration, l *lane, k kind) {
	t.Helper()
	j, ok := s.next(now)
	if !ok || j.lane != l || j.kind != k {
		t.Fatalf("at %v: got %+v, %v; want lane %d, kind %d", now, j, ok, l.key, k)
	}
}

// nothing must be available at now, and not before wake.
func (s *scheduler) nothing(t *testing.T, now, wake time.Duration) {
	t.Helper()
	if j, ok := s.next(now); ok {
		t.Fatalf("at %v: got %+v, want nothing", now, j)
	}
	if at := s.wakeAt(); at != wake {
		t.Fatalf("at %v: wakes at %v, want %v", now, at, wake)
	}
}

func TestReadyLanesTakeTurns(t *testing.T) {
	s, l := testScheduler(2), testLanes(3)
	for _, l := range l {
		s.add(l, 0)
	}
	s.expect(t, 0, l[0], jobAttempt)
	s.expect(t, 0, l[1], jobAttempt)
	s.nothing(t, 0, never) // both workers are busy
	s.ended(jobAttempt, Delivered, 0, 0)
	s.add(l[0], 0) // it has a second event, and goes to the back
	s.expect(t, 0, l[2], jobAttempt)
	s.ended(jobAttempt, Delivered, 0, 0)
	s.expect(t, 0, l[0], jobAttempt)
}

func TestLanesInBackoffComeWhenDue(t *testing.T) {
	s, l := testScheduler(4), testLanes(2)
	s.addLater(l[0], 300*ms)
	s.addLater(l[1], 200*ms)
	s.nothing(t, 0, 200*ms)
	s.expect(t, 250*ms, l[1], jobAttempt)
	s.nothing(t, 299*ms, 300*ms)
	s.expect(t, 300*ms, l[0], jobAttempt)
	s.nothing(t, 300*ms, never)
}

func TestHurryBringsBackoffsForward(t *testing.T) {
	s, l := testScheduler(4), testLanes(3)
	s.addLater(l[0], 900*ms)
	s.addLater(l[1], 800*ms)
	s.addLater(l[2], 100*ms)
	s.hurry(200 * ms)
	s.expect(t, 100*ms, l[2], jobAttempt)
	s.nothing(t, 100*ms, 200*ms)
	for range 2 {
		if _, ok := s.next(200 * ms); !ok {
			t.Fatal("not brought forward")
		}
	}
}

// downScheduler returns a scheduler whose circuit breaker lane 0 has opened at 1 s; the
// other lanes are ready.
func downScheduler(t *testing.T, workers, lanes int) (*scheduler, []*lane) {
	s, l := testScheduler(workers), testLanes(lanes)
	for _, l := range l {
		s.add(l, 0)
	}
	s.expect(t, 0, l[0], jobAttempt)
	l[0].head.window = 10 * time.Second // it was attempted at 0
	if !s.ended(jobAttempt, Unreachable, 0, time.Second) || !s.down() {
		t.Fatal("the breaker stays closed")
	}
	s.add(l[0], time.Second)
	return s, l
}

func TestWhileTheAppIsDownOneProbeAtATimeKnocks(t *testing.T) {
	s, l := downScheduler(t, 8, 3)
	now := time.Second
	for _, wait := range []time.Duration{100, 200, 400, 800, 1600, 2500} {
		wait *= ms
		s.nothing(t, now, now+wait)
		s.nothing(t, now+wait-1, now+wait)
		now += wait
		s.expect(t, now, l[0], jobProbe) // its window ends first
		s.nothing(t, now, never)         // one at a time
		if s.ended(jobProbe, Unreachable, now, now) {
			t.Fatal("a failed probe is news")
		}
		s.add(l[0], now)
	}
}

func TestAfterAnOutageAttemptsComeInGrowingNumbers(t *testing.T) {
	s, l := downScheduler(t, 8, 10)
	s.expect(t, 1100*ms, l[0], jobProbe)
	if s.reached(1100 * ms); s.down() {
		t.Fatal("reached, and still down")
	}
	take := func(now time.Duration) (n int) {
		for {
			if _, ok := s.next(now); !ok {
				return n
			}
			n++
		}
	}
	if n := take(1100 * ms); n != 0 {
		t.Fatalf("%d attempts beside the probe", n)
	}
	if s.ended(jobProbe, Delivered, 1100*ms, 1110*ms) || s.down() {
		t.Error("the probe's end is news")
	}
	if n := take(1110 * ms); n != 2 {
		t.Fatalf("%d attempts after the first, want 2", n)
	}
	s.ended(jobAttempt, Delivered, 1110*ms, 1120*ms)
	s.ended(jobAttempt, Unavailable, 1110*ms, 1120*ms)
	if n := take(1120 * ms); n != 4 {
		t.Fatalf("%d attempts after those, want 4", n)
	}
	if at := s.wakeAt(); at != 1200*ms {
		t.Errorf("the next step is at %v", at)
	}
	if n := take(1200 * ms); n != 3 { // the four hang: time lets the last three through
		t.Fatalf("%d attempts after a step, want 3", n)
	}
}

func TestTheBreakerClosesWithAnAnswerToo(t *testing.T) {
	s, l := downScheduler(t, 8, 2)
	s.expect(t, 1100*ms, l[0], jobProbe)
	if s.ended(jobProbe, Unavailable, 1100*ms, 1200*ms); s.down() {
		t.Error("an answer does not close the breaker")
	}
	s.expect(t, 1200*ms, l[1], jobAttempt)
}

func TestAProbeThatSaysNothingAboutTheAppLeavesTheBreakerOpen(t *testing.T) {
	for _, o := range []Outcome{Starved, CutOff} {
		s, l := downScheduler(t, 8, 2)
		s.expect(t, 1100*ms, l[0], jobProbe)
		if s.ended(jobProbe, o, 1100*ms, 1100*ms); !s.down() {
			t.Errorf("%v closes the breaker", o)
		}
		s.nothing(t, 1100*ms, 1300*ms)
	}
}

func TestOldNewsDoesNotOpenTheBreaker(t *testing.T) {
	s, l := testScheduler(8), testLanes(3)
	for _, l := range l {
		s.add(l, 0)
	}
	for i := range 3 {
		s.expect(t, 0, l[i], jobAttempt)
	}
	s.ended(jobAttempt, Unreachable, 0, 10*ms)
	s.add(l[0], 10*ms)
	s.expect(t, 110*ms, l[0], jobProbe)
	s.reached(110 * ms)
	if s.ended(jobAttempt, Unreachable, 0, 120*ms) {
		t.Error("an attempt from before the outage's end opens the breaker")
	}
	if !s.ended(jobAttempt, Unreachable, 111*ms, 130*ms) {
		t.Error("one from after it does not")
	}
}

func TestEventsExpireOnlyWhenAProbeHasJustFailed(t *testing.T) {
	s, l := downScheduler(t, 8, 3)
	for _, at := range []time.Duration{1100, 1300, 1700, 2500, 4100, 6600, 9100} { // the next back-off ends at 11.6 s
		s.expect(t, at*ms, l[0], jobProbe)
		s.ended(jobProbe, Unreachable, at*ms, at*ms)
		s.add(l[0], at*ms)
	}
	end := 11 * time.Second // of lanes 1 and 2, whose window began at 1 s
	s.nothing(t, 9100*ms, 10*time.Second)
	s.expect(t, 10*time.Second, l[0], jobProbe)
	s.ended(jobProbe, Unreachable, 10*time.Second, 10*time.Second) // its event fails, the lane is gone
	s.nothing(t, 10*time.Second, end)
	if j, ok := s.next(end); !ok || j.kind != jobProbe {
		t.Fatalf("at the end of the window: %+v, %v; want a last probe", j, ok)
	}
	s.nothing(t, end+ms, never) // the other waits for the result
	s.ended(jobProbe, Unreachable, end, end+2*ms)
	if j, ok := s.next(end + 2*ms); !ok || j.kind != jobExpire {
		t.Fatalf("after it: %+v, %v; want it to expire", j, ok)
	}
	s.nothing(t, end+2*ms, never)
}

func TestParkedLanesComeBeforeThoseThatWereReadyLater(t *testing.T) {
	s, l := downScheduler(t, 8, 2)
	late := &lane{head: &event{}}
	s.expect(t, 1100*ms, l[0], jobProbe)
	s.ended(jobProbe, Delivered, 1100*ms, 1101*ms)
	s.add(late, 1101*ms)
	s.expect(t, 1101*ms, l[1], jobAttempt)
	s.expect(t, 1101*ms, late, jobAttempt)
}

func TestAThrottleCountsWhatItHoldsBack(t *testing.T) {
	var th throttle
	for turn := range 3 {
		now := time.Duration(turn) * loggedEvery
		passed := 0
		for range 1000 {
			if th.pass(now) {
				passed++
			}
		}
		if held := th.take(); passed != loggedAtATime || held != 1000-loggedAtATime {
			t.Errorf("turn %d: %d passed, %d held back", turn, passed, held)
		}
	}
	if th.take() != 0 {
		t.Error("counted twice")
	}
}
