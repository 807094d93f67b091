package hub

const keptEntries = 64 // a table keeps memory for so many, however few it has

// table is a map that frees the memory for what is gone, which a map never does.
type table[K comparable, V any] struct {
	entries map[K]V
	most    int // largest size since it was made
}

// of is the entry of key, or none.
func (t *table[K, V]) of(key K) V { return t.entries[key] }

func (t *table[K, V]) put(key K, v V) {
	if t.entries == nil {
		t.entries = make(map[K]V)
	}
	t.entries[key] = v
	t.most = max(t.most, len(t.entries))
}

func (t *table[K, V]) drop(key K) {
	delete(t.entries, key)
	if t.most <= keptEntries || len(t.entries) > t.most/4 {
		return
	}
	fewer := make(map[K]V, len(t.entries))
	for k, v := range t.entries {
		fewer[k] = v
	}
	t.entries, t.most = fewer, len(fewer)
}
