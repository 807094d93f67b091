package forward

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// Source is what an event says of its connection. Its strings are kept, its
// slice is copied.
type Source struct {
	Key    uint64 // identifies the lane: events of one Key are delivered in order
	Seq    uint32 // number of the event within the connection, for X-Request-Id
	ConnID []byte // the public connection id
	User   string
	Cookie string // verbatim; "" for none
}

// Request is what the open event says of the opening handshake.
type Request struct {
	URI, RemoteAddr, UserAgent, Origin string
}

// End is what the close event says.
type End struct {
	Code      int
	Reason    string
	Initiator string
}

// Config of a Forwarder. Zero values mean the defaults named beside them.
type Config struct {
	URL         string        // callback URL, http://host:port/path; required
	Concurrency int           // POSTs in flight, default 64
	Timeout     time.Duration // of one attempt, default 10 s
	RetryFor    time.Duration // from an event's first attempt, default 60 s
	QueueEvents int           // events waiting for one connection, default 256
	QueueBytes  int           // bytes of these, default 1 MiB
	Memory      int64         // bytes of all waiting events, default 256 MiB
	DeadLetter  string        // file for events that failed for good; "" for none

	// Drained is told that a lane whose Message call had answered full is down to
	// half of its bounds. Pressure is told when Memory is exceeded, and when half
	// of it is free again. Both are called on a worker, with no lock held.
	Drained  func(key uint64)
	Pressure func(on bool)

	Log zerolog.Logger
}

// Forwarder delivers events to the app.
type Forwarder struct{ _ Config }

// New checks cfg and opens the dead-letter file; nothing runs before Start.
func New(cfg Config) (*Forwarder, error) { panic("BUG: seam") }

// Start runs the workers.
func (f *Forwarder) Start() { panic("BUG: seam") }

// Open, Message and Close append an event to its connection's lane. They copy
// data, never block, and may be called from any goroutine; the calls for one Key
// come from one goroutine.
func (f *Forwarder) Open(src Source, req Request) { panic("BUG: seam") }

// Message reports full when the lane has reached its bounds: the caller stops
// reading the connection until Config.Drained names it. The event itself is
// taken in any case. binary data is sent as base64.
func (f *Forwarder) Message(src Source, data []byte, binary bool) (full bool) { panic("BUG: seam") }

// Close appends the connection's last event.
func (f *Forwarder) Close(src Source, end End) { panic("BUG: seam") }

// Drain waits until all lanes are empty or ctx is done, ends the workers, writes
// what is left to the dead-letter file and reports it.
func (f *Forwarder) Drain(ctx context.Context) Leftover { panic("BUG: seam") }

// Leftover is what Drain could not deliver.
type Leftover struct {
	Events      int
	DeadLetters int // of these, how many the dead-letter file has
}

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Delivered [3]uint64 // by action: open, message, close
	Failed    [3]uint64 // for good, by action
	Attempts  uint64
	Retries   uint64

	DeadLetters, DeadLetterErrors uint64

	Lanes, Events, Bytes, InFlight int64         // gauges
	Oldest                         time.Duration // gauge: age of the event that waits longest
	Pressure, AppDown              bool          // gauges
}

// Stats returns a snapshot.
func (f *Forwarder) Stats() Stats { panic("BUG: seam") }
