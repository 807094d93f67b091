package interest

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// peer is an instance of the model: what it has, and what it knows of the others.
type peer struct {
	local   *Local
	table   *Table
	has     map[Hash]int // how many names have it
	told    map[Hash]bool
	streams map[int]*stream // to the others
}

// stream is what is on its way from one peer to another, in order.
type stream struct {
	messages []Message
	piece    int // where the next piece begins; -1: nobody has asked
	asked    bool
}

type model struct {
	*testing.T
	random *rand.Rand
	peers  []*peer
	loss   float64
	errs   int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{T: t, random: rand.New(rand.NewPCG(seed, 2))}
	for range 2 + m.random.IntN(3) {
		m.peers = append(m.peers, &peer{
			local: NewLocal(m.random.Uint64()), table: NewTable(m.random.Uint64(), 100+m.random.IntN(400)),
			has: map[Hash]int{}, told: map[Hash]bool{}, streams: map[int]*stream{},
		})
	}
	for i, p := range m.peers {
		for other := range m.peers {
			if other != i {
				p.streams[other] = &stream{piece: -1}
			}
		}
	}
	return m
}

func (m *model) send(s *stream, msg Message) {
	if m.random.Float64() >= m.loss {
		s.messages = append(s.messages, copied(m.T, msg))
	}
}

func (m *model) change(p *peer) {
	h := Hash(1 + m.random.IntN(150))
	if p.has[h] > 0 && m.random.IntN(2) == 0 {
		p.local.Gone(h)
		if p.has[h]--; p.has[h] == 0 {
			delete(p.has, h)
		}
	} else if p.has[h] < manyNames-1 {
		p.local.Come(h)
		p.has[h]++
	}
}

func (m *model) flush(p *peer) {
	for more := true; more; {
		var msg Message
		var ok bool
		if msg, ok, more = p.local.Flush(0, 20); !ok {
			continue
		}
		for h := range msg.Come.All {
			if p.told[h] {
				m.Fatalf("%x has come and been told before", h)
			}
			p.told[h] = true
		}
		for h := range msg.Gone.All {
			if !p.told[h] {
				m.Fatalf("%x has gone and not been told before", h)
			}
			delete(p.told, h)
		}
		for _, s := range p.streams {
			m.send(s, msg)
		}
	}
}

// tell sends the next part of everything to those who have asked.
func (m *model) tell(p *peer) {
	for _, s := range p.streams {
		if s.asked {
			s.asked, s.piece = false, 0
			m.send(s, p.local.Begin())
		} else if s.piece >= 0 {
			var msg Message
			msg, s.piece = p.local.Piece(s.piece, 10)
			m.send(s, msg)
			if s.piece < 0 {
				m.send(s, p.local.End())
			}
		}
	}
}

// receive has p take the next message of another peer.
func (m *model) receive(from, to int) {
	s, p := m.peers[from].streams[to], m.peers[to]
	if len(s.messages) > 0 {
		msg := s.messages[0]
		s.messages = s.messages[1:]
		if err := p.table.Apply(uint8(from), &msg); err != nil {
			m.errs++
			if m.loss == 0 || !errors.Is(err, ErrMissed) && !errors.Is(err, ErrDiffers) {
				m.Fatal(err)
			}
		}
	}
	if len(s.messages) == 0 && p.table.State(uint8(from)) == Known && m.loss == 0 {
		m.same(from, to)
	}
}

func (m *model) ask(from, to int) {
	if m.peers[to].table.State(uint8(from)) == Unknown && m.peers[from].streams[to].piece < 0 {
		m.peers[from].streams[to].asked = true
	}
}

// same is true where all has arrived.
func (m *model) same(from, to int) {
	m.Helper()
	if got, want := m.peers[to].table.told(uint8(from)), sorted(m.peers[from].told); !slices.Equal(got, want) {
		m.Fatalf("peer %d knows %v of %d, which has told %v", to, got, from, want)
	}
}

func (m *model) pair() (from, to int) {
	from = m.random.IntN(len(m.peers))
	to = (from + 1 + m.random.IntN(len(m.peers)-1)) % len(m.peers)
	return from, to
}

func (m *model) step() {
	from, to := m.pair()
	switch m.random.IntN(8) {
	case 0, 1, 2:
		m.change(m.peers[from])
	case 3:
		m.flush(m.peers[from])
	case 4:
		m.tell(m.peers[from])
	case 5, 6:
		m.receive(from, to)
	default:
		m.ask(from, to)
		if m.random.IntN(50) == 0 {
			m.peers[to].table.Forget(uint8(from))
		}
		if m.random.IntN(50) == 0 {
			m.peers[to].table.Doubt(uint8(from))
		}
		if m.random.IntN(20) == 0 {
			_ = m.peers[to].table.Check(uint8(from), m.peers[from].local.Digest())
		}
	}
}

// settle delivers everything, as heartbeats do in the end, whatever was lost.
func (m *model) settle() {
	for range 100 {
		for from, p := range m.peers {
			m.flush(p)
			for to := range p.streams {
				m.ask(from, to)
				if m.peers[to].table.State(uint8(from)) == TooMany && m.peers[to].table.HasRoom(p.local.Digest().Count) {
					m.peers[to].table.Forget(uint8(from))
				}
			}
			m.tell(p)
			for to, s := range p.streams {
				for range len(s.messages) {
					m.receive(from, to)
				}
				_ = m.peers[to].table.Check(uint8(from), p.local.Digest())
			}
		}
	}
}

// Whatever is lost, repeated or begun anew: what a peer has told is known at the others
// in the end, or too much for them. And as long as nothing is lost, it is known
// whenever nothing is under way.
func TestTablesAreWhatTheirOwnersHaveTold(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 6
	}
	errs, known, tooMany := 0, 0, 0
	for seed := range seeds {
		m := newModel(t, seed)
		if seed%2 == 1 {
			m.loss = 0.05
		}
		for range 3000 {
			m.step()
		}
		m.loss = math.SmallestNonzeroFloat64 // nothing is lost from now on, but things were
		m.settle()
		errs += m.errs
		for from, p := range m.peers {
			for to := range p.streams {
				switch table := m.peers[to].table; table.State(uint8(from)) {
				case Known:
					m.same(from, to)
					known++
				case TooMany:
					tooMany++
				default:
					t.Errorf("seed %d: peer %d is %v at %d", seed, from, table.State(uint8(from)), to)
				}
			}
			for h := range p.has {
				if !p.told[h] {
					t.Errorf("seed %d: peer %d has %x and has not told it", seed, from, h)
				}
			}
			if len(p.has) != len(p.told) || p.local.Digest().Count != uint64(len(p.told)) {
				t.Errorf("seed %d: peer %d has %d, has told %d, digest %+v", seed, from, len(p.has), len(p.told), p.local.Digest())
			}
		}
	}
	if errs == 0 || known == 0 || tooMany == 0 {
		t.Errorf("%d errors, %d known, %d too many: some of these never happened", errs, known, tooMany)
	}
}
