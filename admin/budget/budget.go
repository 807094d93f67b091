// Package budget bounds the memory that management requests take all together. Nobody
// waits for memory: a request for which there is none is answered 503.
//
// It imports none of ours.
package budget

import (
	"errors"
	"sync"
	"sync/atomic"
)

// ErrFull says that a reservation could not grow.
var ErrFull = errors.New("other requests hold all of --api-memory: try again")

// Budget is an amount of memory. The zero value is one of 0 bytes. It may be used by many
// goroutines.
type Budget struct {
	limit   atomic.Int64
	used    atomic.Int64
	refused atomic.Uint64
}

// SetLimit sets the budget's size in bytes. What is reserved stays reserved.
func (b *Budget) SetLimit(bytes int64) { b.limit.Store(bytes) }

// Counts returns the limit and what is reserved, in bytes, and how often a reservation
// could not grow.
func (b *Budget) Counts() (limit, used int64, refused uint64) {
	return b.limit.Load(), b.used.Load(), b.refused.Load()
}

// Reservation is the part of a budget that one request has. It belongs to one goroutine at
// a time.
type Reservation struct {
	budget *Budget
	held   int64
}

// reservations are those that are not in use.
var reservations = sync.Pool{New: func() any { return new(Reservation) }}

// Reserve returns a reservation of nothing.
func (b *Budget) Reserve() *Reservation {
	r := reservations.Get().(*Reservation)
	*r = Reservation{budget: b}
	return r
}

// Held is how many bytes are reserved.
func (r *Reservation) Held() int64 { return r.held }

// Grow reserves more bytes, and reports whether there are as many. A reservation that is
// the only one may grow beyond the limit, or a request as large as a request may be might
// never be served. A nil reservation has no bounds.
func (r *Reservation) Grow(bytes int64) bool {
	if r == nil {
		return true
	}
	for {
		used := r.budget.used.Load()
		if used > r.held && used+bytes > r.budget.limit.Load() {
			r.budget.refused.Add(1)
			return false
		}
		if r.budget.used.CompareAndSwap(used, used+bytes) {
			r.held += bytes
			return true
		}
	}
}

// Keep gives back all but the given number of bytes.
func (r *Reservation) Keep(bytes int64) {
	if bytes = min(bytes, r.held); bytes < r.held {
		r.budget.used.Add(bytes - r.held)
		r.held = bytes
	}
}

// Release gives back all bytes, and the reservation itself, which must not be used any
// more. It may be nil.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.Keep(0)
	reservations.Put(r)
}
