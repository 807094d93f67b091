package members

import (
	"math/rand/v2"
	"testing"
	"time"
)

// model plays instances that beat, stop, leave and start again, and a link that comes
// and goes. It keeps for itself when each was heard, in time that counts.
type model struct {
	*rig
	random *rand.Rand
	state  map[ID]EventKind // the last of Appeared, Silenced, Back; none if it is no member
	heard  map[ID]time.Duration
	gone   map[ID]bool
	linkUp bool
	counts time.Duration // time in which an instance can be found silent
	kinds  map[EventKind]int
}

func (m *model) take(events []Event) {
	m.Helper()
	for _, e := range events {
		m.kinds[e.Kind]++
		id := e.Member.ID
		was, member := m.state[id]
		silence := m.counts - m.heard[id]
		switch e.Kind {
		case Appeared:
			if member || m.gone[id] {
				m.Fatalf("%v appeared, and was there, or had left", id)
			}
			m.state[id] = Appeared
		case Silenced:
			if !member || was == Silenced || e.Why == NotHeard && (silence < 3*time.Second || !m.linkUp) {
				m.Fatalf("%v is silent after %v, link: %v, before: %v", id, silence, m.linkUp, was)
			}
			m.state[id] = Silenced
		case Back:
			if !member || was != Silenced {
				m.Fatalf("%v is back, before: %v", id, was)
			}
			m.state[id] = Back
		case Died:
			if !member || e.Why == NotHeard && (silence < 15*time.Second || !m.linkUp) || e.Why == Left && !m.gone[id] || e.Why == Replaced {
				m.Fatalf("%v died (%v) after %v, link: %v", id, e.Why, silence, m.linkUp)
			}
			delete(m.state, id)
		default:
			m.Fatalf("event %d", e.Kind)
		}
	}
	seen := 0
	for member := range m.All() {
		seen++
		if was, ok := m.state[member.ID]; !ok || member.Silent != (was == Silenced) || m.At(member.Index) != member {
			m.Fatalf("%+v, and the last event was %v", member, was)
		}
	}
	if seen != len(m.state) {
		m.Fatalf("%d members, want %d", seen, len(m.state))
	}
}

func (m *model) pass(d time.Duration) {
	m.now += d
	if m.linkUp {
		m.counts += min(d, longestGap)
	}
	m.take(m.Tick(m.now))
}

func (m *model) beat(n int) {
	h := named(n, string(rune('a'+n)))
	m.heard[h.ID] = m.counts
	m.take(m.Heard(m.now, h))
}

func (m *model) step() {
	n := 1 + m.random.IntN(8)
	switch m.random.IntN(12) {
	case 0, 1:
		m.pass(time.Duration(m.random.IntN(4000)) * time.Millisecond)
	case 2, 3, 4:
		m.pass(time.Duration(m.random.IntN(900)) * time.Millisecond)
	case 5:
		if m.random.IntN(3) == 0 {
			m.linkUp = false
			m.take(m.LinkDown(m.now))
		}
	case 6, 7:
		if !m.linkUp {
			m.linkUp = true
			for other := range m.heard {
				m.heard[other] = m.counts
			}
			m.take(m.LinkUp(m.now))
		}
	case 8:
		if m.random.IntN(20) == 0 {
			m.gone[id(n)] = true
			m.take(m.Leave(m.now, id(n), 0))
		}
	case 9:
		m.take(m.Lost(m.now, id(n)))
	default:
		if m.linkUp && n <= 3+m.random.IntN(6) { // the last ones beat seldom
			m.beat(n)
		}
	}
}

func TestNobodyIsSilentOrDeadTooEarlyOrForEver(t *testing.T) {
	kinds := map[EventKind]int{}
	for seed := range uint64(50) {
		m := &model{
			rig: newRig(t), random: rand.New(rand.NewPCG(seed, 3)), linkUp: true, kinds: kinds,
			state: map[ID]EventKind{}, heard: map[ID]time.Duration{}, gone: map[ID]bool{},
		}
		for range 2000 {
			m.step()
		}
		if !m.linkUp {
			m.linkUp = true
			m.take(m.LinkUp(m.now))
		}
		for range 4 {
			m.pass(500 * time.Millisecond)
			for n := 1; n <= 8; n++ {
				m.beat(n)
			}
		}
		for n := 1; n <= 8; n++ {
			if member := m.Get(id(n)); m.gone[id(n)] != (member == nil) || member != nil && member.Silent {
				t.Errorf("seed %d: %v beats, has left: %v, and is %+v", seed, id(n), m.gone[id(n)], member)
			}
		}
		for range 31 {
			m.pass(500 * time.Millisecond)
		}
		if m.Len() != 0 {
			t.Errorf("seed %d: %d members are left after 15 s in which nobody beat", seed, m.Len())
		}
	}
	for _, kind := range []EventKind{Appeared, Silenced, Back, Died} {
		if kinds[kind] < 50 {
			t.Errorf("event %d happened %d times", kind, kinds[kind])
		}
	}
}
