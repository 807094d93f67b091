package interest

import (
	"maps"
	"slices"
	"testing"
)

// told is everything that a Table has of an instance.
func (t *Table) told(i uint8) (hashes []Hash) {
	for s := range t.shards {
		for _, e := range t.shards[s].at {
			if e != 0 && e.low() == i && t.valid(&t.shards[s], e) {
				hashes = append(hashes, e.hash())
			}
		}
	}
	slices.Sort(hashes)
	return hashes
}

func (t *Table) mustApply(tb testing.TB, i uint8, m Message) {
	tb.Helper()
	if err := t.Apply(i, &m); err != nil {
		tb.Fatal(err)
	}
}

// has reports whether a Table says that an instance has told h.
func (t *Table) has(i uint8, h Hash) bool {
	var s Set
	t.Find(h, &s)
	return s.Has(i)
}

// everything sends all that l has told to instance i of t.
func everything(tb testing.TB, l *Local, t *Table, i uint8) {
	tb.Helper()
	t.mustApply(tb, i, l.Begin())
	for next := 0; next >= 0; {
		var m Message
		m, next = l.Piece(next, 1000)
		t.mustApply(tb, i, m)
	}
	t.mustApply(tb, i, l.End())
}

// hashesOf makes a list of hashes.
func hashesOf(hashes ...Hash) (s Hashes) {
	for _, h := range hashes {
		s = s.append(h)
	}
	return s
}

func sorted(set map[Hash]bool) []Hash { return slices.Sorted(maps.Keys(set)) }

// copied is a message that stays as it is.
func copied(tb testing.TB, m Message) Message {
	tb.Helper()
	again, err := Parse(m.Append(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return again
}
