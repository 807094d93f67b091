package interest

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Interval is how often changes are told at most. One that comes later than that after
// the last is told at once.
const Interval = 2 * time.Millisecond

// Local knows which names this instance has, and which of them it has told. Come and
// Gone may be called from any goroutine; they hold a lock for a piece of table work.
// All else is for one goroutine. Make it with NewLocal.
//
// It keeps about 12 bytes for each name, and 8 more while it is to be told that the
// name has come or gone. Both are bounded by the names that there are and those that
// have been told.
type Local struct {
	spread spread // static
	shards [shards]localShard
	dirty  [shards / 64]atomic.Uint64 // shards that have something to tell
	awake  atomic.Bool                // Flush will be called

	// For the one goroutine.
	told Digest
	last time.Duration // when something was told
	come Hashes        // room for a message
	gone Hashes
}

// localShard is a part of the hashes, each with what low says of it.
type localShard struct {
	mu sync.Mutex
	slots
	changed []Hash       // those that are queued
	more    map[Hash]int // how many names beyond manyNames have it
}

// The 8 bits beside a hash: how many times it has come and not gone, up to manyNames;
// what is beyond that is in localShard.more. A hash that is not there and has not been
// told has no entry.
const (
	isTold    = 1 << 7
	isQueued  = 1 << 6
	manyNames = isQueued - 1
)

// NewLocal returns a Local without names. seed is a number that nobody else knows.
func NewLocal(seed uint64) *Local { return &Local{spread: newSpread(seed)} }

// Come notes that a name has come. What comes several times must go as often; the
// others are told of the first and the last time. wake says that the owner must be
// woken to call Flush, when Wait says. Gone must not be called before the Come that it
// undoes has returned.
func (l *Local) Come(h Hash) (wake bool) {
	at := l.spread.shard(h)
	return l.shards[at].come(l.spread, h) && l.wake(at)
}

// Gone notes that a name is not there any more. It is Come's opposite in all else.
func (l *Local) Gone(h Hash) (wake bool) {
	at := l.spread.shard(h)
	return l.shards[at].gone(l.spread, h) && l.wake(at)
}

func (sh *localShard) come(k spread, h Hash) (queued bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, found := sh.findHash(k, h)
	if !found {
		i = sh.insert(k, makeEntry(h, 0))
	}
	if sh.at[i].low()&manyNames == manyNames {
		if sh.more == nil {
			sh.more = make(map[Hash]int)
		}
		sh.more[h]++
		return false
	}
	sh.at[i]++
	return sh.queue(i)
}

func (sh *localShard) gone(k spread, h Hash) (queued bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i, found := sh.findHash(k, h)
	if !found || sh.at[i].low()&manyNames == 0 {
		return false
	}
	switch more := sh.more[h]; {
	case more > 1:
		sh.more[h] = more - 1
		return false
	case more == 1:
		delete(sh.more, h)
		return false
	}
	sh.at[i]--
	if sh.at[i].low() == isQueued { // it came and went, and nobody has been told
		last := len(sh.changed) - 1
		sh.changed[slices.Index(sh.changed, h)] = sh.changed[last]
		sh.changed = sh.changed[:last]
		sh.removeAt(k, i)
		return false
	}
	return sh.queue(i)
}

// queue has the entry at i told, or told no more, if that is not so already.
func (sh *localShard) queue(i int) (queued bool) {
	low := sh.at[i].low()
	if low&isQueued != 0 || (low&isTold != 0) == (low&manyNames > 0) {
		return false
	}
	sh.at[i] |= isQueued
	sh.changed = append(sh.changed, sh.at[i].hash())
	return true
}

func (l *Local) wake(shard uint64) bool {
	word, bit := &l.dirty[shard/64], uint64(1)<<(shard%64)
	if word.Load()&bit == 0 {
		word.Or(bit)
	}
	return !l.awake.Load() && !l.awake.Swap(true)
}

// Wait returns how long after now Flush should be called so as not to tell more often than once
// in an interval.
func (l *Local) Wait(now, interval time.Duration) time.Duration { return max(0, l.last+interval-now) }

// Flush returns what has come and gone since it was last called, about so many hashes
// at most; more says that there are others, for which it should be called at once. ok
// is false if there is nothing to tell. The message is valid until the next call of
// Flush or Piece.
func (l *Local) Flush(now time.Duration, most int) (m Message, ok, more bool) {
	l.awake.Store(false)
	l.come, l.gone = l.come[:0], l.gone[:0]
	for w := range l.dirty {
		for word := l.dirty[w].Load(); word != 0; word &= word - 1 {
			if l.come.Len()+l.gone.Len() >= most {
				more = true
				break
			}
			bit := bits.TrailingZeros64(word)
			l.dirty[w].And(^(1 << bit)) // before the shard is looked at
			l.flush(&l.shards[64*w+bit])
		}
	}
	if more {
		l.awake.Store(true)
	}
	if len(l.come) == 0 && len(l.gone) == 0 {
		return Message{}, false, more
	}
	l.last = now
	l.told.Version++
	return Message{Kind: Change, Version: l.told.Version, Come: l.come, Gone: l.gone}, true, more
}

func (l *Local) flush(sh *localShard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, h := range sh.changed {
		i, _ := sh.findHash(l.spread, h)
		sh.at[i] &^= isQueued
		told, has := sh.at[i].low()&isTold != 0, sh.at[i].low()&manyNames > 0
		switch {
		case has && !told:
			sh.at[i] |= isTold
			l.told.add(h)
			l.come = l.come.append(h)
		case told && !has:
			l.told.remove(h)
			l.gone = l.gone.append(h)
		}
		if !has {
			sh.removeAt(l.spread, i)
		}
	}
	sh.changed = sh.changed[:0]
	if cap(sh.changed) > keptChanges {
		sh.changed = nil
	}
}

// keptChanges is how much room a shard keeps for changes.
const keptChanges = 16

// Digest returns the digest of what has been told.
func (l *Local) Digest() Digest { return l.told }

// Begin returns the message with which to begin to tell an instance everything. Whatever
// Flush returns from now on is for that instance, too.
func (l *Local) Begin() Message { return Message{Kind: Begin, Version: l.told.Version} }

// Piece returns the part of everything that begins at from, which is 0 for the first
// one: about so many hashes at most, and at least one in 1024 of all. next is where the
// part behind it begins, and -1 at the end. The message is valid until the next call of
// Flush or Piece. It must be sent before whatever Flush returns later.
func (l *Local) Piece(from, most int) (m Message, next int) {
	l.come = l.come[:0]
	for ; from < shards && l.come.Len() < most; from++ {
		sh := &l.shards[from]
		sh.mu.Lock()
		for _, e := range sh.at {
			if e.low()&isTold != 0 {
				l.come = l.come.append(e.hash())
			}
		}
		sh.mu.Unlock()
	}
	if from == shards {
		from = -1
	}
	return Message{Kind: Piece, Come: l.come}, from
}

// End returns the message for the end of everything.
func (l *Local) End() Message { return Message{Kind: End, Digest: l.told} }
