package members

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rig is a Members whose clock the test moves, in steps in which Tick is called.
type rig struct {
	testing.TB
	*Members
	now time.Duration
	log []string // events
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, Members: New(Config{Self: id(0), Name: "self"})}
	r.note(r.LinkUp(0))
	return r
}

func id(n int) ID { return ID{1, byte(n >> 8), byte(n)} }

func (r *rig) note(events []Event) {
	for _, e := range events {
		text := fmt.Sprint([]string{"appeared", "silent", "back", "died", "taken", "free", "full"}[e.Kind], " ", e.Member.Name)
		if e.Kind == Silenced || e.Kind == Died {
			text += ": " + e.Why.String()
		}
		r.log = append(r.log, text)
	}
}

// wait lets time pass in which the members beat.
func (r *rig) wait(d time.Duration, beat ...*Heartbeat) {
	const step = 500 * time.Millisecond
	for end := r.now + d; r.now < end; {
		r.now += min(step, end-r.now)
		for _, h := range beat {
			h.Up += step
			r.note(r.Heard(r.now, h))
		}
		r.note(r.Tick(r.now))
	}
}

func (r *rig) hear(h *Heartbeat) { r.note(r.Heard(r.now, h)) }

// want compares what has happened since it was last called.
func (r *rig) want(events ...string) {
	r.Helper()
	if !slices.Equal(r.log, events) {
		r.Errorf("at %v: %s\nwant: %s", r.now, strings.Join(r.log, ", "), strings.Join(events, ", "))
	}
	r.log = nil
}

func named(n int, name string) *Heartbeat { return &Heartbeat{ID: id(n), Name: name, State: Serving} }

func TestAMemberIsSilentAndThenDeadIfItIsNotHeard(t *testing.T) {
	r := newRig(t)
	a, b := named(1, "a"), named(2, "b")
	r.hear(a)
	r.hear(b)
	r.want("appeared a", "appeared b")
	r.wait(2500*time.Millisecond, b)
	r.want()
	r.wait(time.Second, b)
	r.want("silent a: not heard")
	if m := r.Get(a.ID); m == nil || !m.Silent || r.At(m.Index) != m || r.Len() != 2 {
		t.Errorf("member a is %+v of %d", m, r.Len())
	}
	r.hear(a)
	r.want("back a")
	r.wait(14*time.Second, b)
	r.want("silent a: not heard")
	r.wait(time.Second, b)
	r.want("died a: not heard")
	if r.Get(a.ID) != nil || r.At(0) != nil || r.Len() != 1 {
		t.Error("it is still a member")
	}
	r.hear(a)
	r.want("appeared a")
	if got := r.Get(a.ID).Index; got != 0 {
		t.Errorf("its index is %d", got)
	}
}

func TestAnythingThatIsHeardOfAMemberCounts(t *testing.T) {
	r := newRig(t)
	r.hear(named(1, "a"))
	for range 20 {
		r.wait(time.Second)
		r.note(r.Spoke(r.now, id(1)))
		r.note(r.Spoke(r.now, id(2)))
	}
	r.want("appeared a")
}

func TestAMemberThatLeavesIsGoneAtOnceAndForGood(t *testing.T) {
	r := newRig(t)
	r.hear(named(1, "a"))
	r.note(r.Leave(r.now, id(1), 0))
	r.hear(named(1, "a"))
	r.note(r.Leave(r.now, id(0), 0)) // that is us
	r.note(r.Leave(r.now, id(7), 0))
	r.hear(named(7, "late"))
	r.want("appeared a", "died a: it has left")
}

func TestAMemberThatNobodyHearsForIsSilentAtOnce(t *testing.T) {
	r := newRig(t)
	r.hear(named(1, "a"))
	r.note(r.Lost(r.now, id(1)))
	r.note(r.Lost(r.now, id(1)))
	r.note(r.Lost(r.now, id(2)))
	r.want("appeared a", "silent a: nobody takes its messages")
	r.hear(named(1, "a"))
	r.want("back a")
}

func TestNobodyDiesWhileOurOwnLinkIsDown(t *testing.T) {
	r := newRig(t)
	a, b := named(1, "a"), named(2, "b")
	r.hear(a)
	r.hear(b)
	r.note(r.LinkDown(r.now))
	r.note(r.Lost(r.now, id(1)))
	r.want("appeared a", "appeared b", "silent a: this instance's link is down", "silent b: this instance's link is down")
	r.wait(time.Hour)
	r.want()
	r.note(r.LinkUp(r.now))
	r.wait(14 * time.Second)
	r.want()
	r.hear(b)
	r.want("back b")
	r.wait(1500*time.Millisecond, b)
	r.want("died a: not heard")
}

// SIGSTOP, or a host that sleeps: nothing was heard because nobody listened.
func TestNobodyDiesWhileOurOwnProcessDoesNotRun(t *testing.T) {
	r := newRig(t)
	r.hear(named(1, "a"))
	r.wait(time.Second)
	r.now += time.Hour
	r.note(r.Tick(r.now))
	r.wait(500 * time.Millisecond)
	r.want("appeared a")
	r.now -= time.Hour // a clock that goes back is none of ours
	r.note(r.Tick(r.now))
	r.want()
}

func TestWhoHasOurNameIsToldOfUntilItHasAnother(t *testing.T) {
	r := newRig(t)
	r.wait(10 * time.Second)
	one, other := named(1, "self"), named(2, "self")
	r.wait(time.Second, one)
	r.want("appeared self", "taken self")
	r.wait(time.Second, one, other)
	r.want("appeared self", "taken self")
	r.note(r.Leave(r.now, one.ID, 0))
	r.want("free self", "died self: it has left")
	other = named(2, "other")
	r.wait(time.Second, other)
	r.want("free other")
}

// An instance that was killed is started again under its name.
func TestAnInstanceThatHasBeenReplacedIsDeadOnceItIsSilent(t *testing.T) {
	r := newRig(t)
	killed, again := named(1, "a"), named(2, "a")
	r.wait(10*time.Second, killed)
	r.wait(2*time.Second, again)
	r.want("appeared a", "appeared a")
	r.wait(1500*time.Millisecond, again)
	r.want("died a: restarted")
	if r.Get(killed.ID) != nil || r.Get(again.ID) == nil {
		t.Error("the wrong one died")
	}
}

// Of two that run at the same time under one name neither replaces the other, whichever is
// silent, and however close their starts: what is taken for dead loses its connections' events.
func TestWhoOnlySharesANameIsNotReplaced(t *testing.T) {
	for _, apart := range []time.Duration{0, time.Second, time.Minute} {
		r := newRig(t)
		first, second := named(1, "a"), named(2, "a")
		self := named(3, "self")
		r.wait(apart, first)
		r.wait(time.Second, first, second)
		r.wait(5*time.Second, second, self)
		r.want("appeared a", "appeared a", "appeared self", "taken self", "silent a: not heard")
		r.wait(5*time.Second, first)
		r.want("back a", "silent a: not heard", "silent self: not heard", "free self")
	}
}

func TestMoreThan256InstancesAreLeftOut(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= most; n++ {
		r.hear(named(n, fmt.Sprint(n)))
	}
	r.log = nil
	r.hear(named(1000, "late"))
	r.hear(named(1000, "late"))
	r.hear(named(1001, "later"))
	r.want("full late")
	if r.Len() != most || r.Refused() != 3 || r.Get(id(1000)) != nil {
		t.Errorf("%d members, %d refused", r.Len(), r.Refused())
	}
	r.note(r.Leave(r.now, id(77), 0))
	r.hear(named(1000, "late"))
	r.hear(named(1001, "later"))
	r.want("died 77: it has left", "appeared late", "full later")
	indices := map[uint8]bool{}
	for m := range r.All() {
		indices[m.Index] = true
	}
	if len(indices) != most {
		t.Errorf("%d indices for %d members", len(indices), most)
	}
}

func TestOurOwnHeartbeatIsNobodys(t *testing.T) {
	r := newRig(t)
	r.hear(named(0, "self"))
	r.want()
}
