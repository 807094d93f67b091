package serve

import "sync"

// Members are the connections that a broadcast goes to. Without broadcasts nothing
// is kept, so that plain echo servers pay nothing for them.
type Members[C comparable] struct {
	keep bool
	mu   sync.Mutex
	all  map[C]struct{} // guarded by mu
}

// NewMembers returns an empty set.
func NewMembers[C comparable](o Options) *Members[C] {
	return &Members[C]{keep: o.Broadcast, all: make(map[C]struct{})}
}

// Add takes a connection in.
func (m *Members[C]) Add(c C) {
	if !m.keep {
		return
	}
	m.mu.Lock()
	m.all[c] = struct{}{}
	m.mu.Unlock()
}

// Remove lets a connection go.
func (m *Members[C]) Remove(c C) {
	if !m.keep {
		return
	}
	m.mu.Lock()
	delete(m.all, c)
	m.mu.Unlock()
}

// Each calls f for every connection, one broadcast at a time.
func (m *Members[C]) Each(f func(C)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.all {
		f(c)
	}
}
