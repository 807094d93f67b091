package meta

import (
	"errors"
	"sync"
	"sync/atomic"

	"ws-gateway/jsoncheck"
)

// Budget bounds the memory that metadata takes, together with others who use it.
type Budget interface {
	Reserve(bytes int64) bool // reports false if there is no room
	Release(bytes int64)      // undoes Reserve
	Charge(bytes int64)       // counts what is used from now on, or, if negative, no longer
}

// ErrMemory is returned if the budget has no room.
var ErrMemory = errors.New("there is no memory for more metadata: remove some, or allow more with --group-memory")

const stripeCount = 256

// Store knows which connections have which metadata. A connection is named by its
// forward.Source.Key. Make it with New; a nil *Store has none. Its methods may be called
// from any goroutine, and hold a lock for a look into a map only.
type Store struct {
	limit  int          // bytes of a value
	depth  atomic.Int64 // levels of nesting of a value
	budget Budget       // nil: no bound

	// Changed, if it is not nil, is told of each value that a connection is given, nil for
	// none. id is the connection's; of calls for one connection the one with the highest
	// number is the last. It must not block, and copies id. Set it before the first Set.
	Changed func(id []byte, number uint64, v *Value)

	values atomic.Int64 // connections that have some
	bytes  atomic.Int64

	stripes [stripeCount]stripe
}

type stripe struct {
	mu     sync.Mutex
	values map[uint64]*Value
	peak   int    // most that the map has held
	number uint64 // of the last change
}

// New returns a Store of values of at most limit bytes.
func New(limit int) *Store {
	s := &Store{limit: limit}
	s.SetDepth(jsoncheck.MaxDepth - 2) // an event's object and a batch's array are around it
	return s
}

// Limit returns how many bytes a value may have.
func (s *Store) Limit() int {
	if s == nil {
		return 0
	}
	return s.limit
}

// SetDepth changes how deeply a value may be nested from now on.
func (s *Store) SetDepth(levels int) {
	if s != nil {
		s.depth.Store(int64(levels))
	}
}

// Use makes b the budget. It must be called before the first Set.
func (s *Store) Use(b Budget) {
	if s != nil {
		s.budget = b
	}
}

// Number returns a number that no change has exceeded.
func (s *Store) Number() (number uint64) {
	if s == nil {
		return 0
	}
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		number = max(number, st.number)
		st.mu.Unlock()
	}
	return number
}

// GoOn has changes number from above what Number has returned for another Store, whose
// connections this one has from now on. It must be called before the first Set.
func (s *Store) GoOn(number uint64) {
	if s != nil {
		for i := range s.stripes {
			s.stripes[i].number = number
		}
	}
}

// Stats are gauges.
type Stats struct {
	Connections int64 // that have metadata
	Bytes       int64 // that these take
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	return Stats{s.values.Load(), s.bytes.Load()}
}

func (s *Store) stripe(key uint64) *stripe {
	const golden = 0x9e3779b97f4a7c15 // spreads keys that differ in few bits
	return &s.stripes[key*golden>>56]
}

// Get returns the metadata of a connection, nil if it has none.
func (s *Store) Get(key uint64) *Value {
	if s == nil || s.values.Load() == 0 {
		return nil
	}
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.values[key]
}

// Set gives a connection metadata, or takes it away if v is nil. The error is nil or
// ErrMemory, after which the connection has what it had before. Whoever sets it sees to
// it that Drop follows.
func (s *Store) Set(key uint64, id []byte, v *Value) error {
	more := s.Growth(key, v)
	if more > 0 && s.budget != nil {
		if !s.budget.Reserve(more) {
			return ErrMemory
		}
		defer s.budget.Release(more)
	}
	s.Put(key, id, v)
	return nil
}

// Growth returns how much more memory a connection would take with another value.
func (s *Store) Growth(key uint64, v *Value) int64 { return v.cost() - s.Get(key).cost() }

// Put is Set for a caller that has reserved the memory.
func (s *Store) Put(key uint64, id []byte, v *Value) {
	number := s.change(key, v)
	if s.Changed != nil {
		s.Changed(id, number, v)
	}
}

// Repeat tells Changed once more what a connection has, if it has some.
func (s *Store) Repeat(key uint64, id []byte) {
	if s == nil || s.Changed == nil || s.values.Load() == 0 {
		return
	}
	st := s.stripe(key)
	st.mu.Lock()
	v, number := st.values[key], st.number // no change of the connection has a higher one
	st.mu.Unlock()
	if v != nil {
		s.Changed(id, number, v)
	}
}

// Drop forgets a connection. Changed is not told.
func (s *Store) Drop(key uint64) {
	if s != nil && s.values.Load() > 0 {
		s.change(key, nil)
	}
}

// manyValues is how many values a map has held that is not kept when it is empty, because
// maps do not shrink.
const manyValues = 64

func (s *Store) change(key uint64, v *Value) (number uint64) {
	st := s.stripe(key)
	st.mu.Lock()
	old := st.values[key]
	switch {
	case v == nil:
		delete(st.values, key)
		if len(st.values) == 0 && st.peak > manyValues {
			st.values, st.peak = nil, 0
		}
	case st.values == nil:
		st.values = make(map[uint64]*Value)
		fallthrough
	default:
		st.values[key] = v
		st.peak = max(st.peak, len(st.values))
	}
	st.number++
	number = st.number
	st.mu.Unlock()
	more := v.cost() - old.cost()
	s.bytes.Add(more)
	if s.budget != nil {
		s.budget.Charge(more)
	}
	switch {
	case old == nil && v != nil:
		s.values.Add(1)
	case old != nil && v == nil:
		s.values.Add(-1)
	}
	return number
}
