package forward

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
	"ws-gateway/forward/headers"
	"ws-gateway/hub/meta"
	"ws-gateway/jsoncheck"
)

// Config of a Forwarder. Zero values mean the defaults named beside them.
type Config struct {
	URL          string          // callback URL: http://host:port/path, https:// likewise, or unix:/socket:/path; required
	TLS          *tls.Config     // for https: certificate authorities, the system's if there are none, and client certificates
	Headers      []headers.Field // sent with each POST
	Concurrency  int             // POSTs in flight, default 64, at most 65,536
	Timeout      time.Duration   // of one attempt, including connecting; default 10 s
	AuthorizeFor time.Duration   // of all attempts of Authorize together, default Timeout
	RetryFor     time.Duration   // from an event's first attempt, default 60 s
	QueueEvents  int             // events waiting for one connection, default 256
	QueueBytes   int             // bytes of these, default 1 MiB
	Memory       int64           // bytes of all waiting events and of what holds them; default 256 MiB. See pressure
	DeadLetter   string          // file for events that failed for good; "" for none

	DeadLetterMaxSize int64 // size at which the file is renamed to FILE.1 and a new one is begun, default 100 MiB
	DeadLetterKeep    int   // FILE.1 to FILE.n are kept, default 5

	// Epoch is sent with each POST as X-Ws-Epoch, unless it is empty.
	Epoch string

	// Instance is sent with each POST as X-Ws-Instance, unless it is empty: it is the name
	// of the gateway among several. Bytes other than visible ASCII, and %, are written as
	// %XX, as in a URL.
	Instance string

	// Journal, if it is not nil, records the connections that the app is told about. See
	// CloseLost.
	Journal Journal

	// Done, if it is not nil, is called with the Source.Key of each event that has been
	// delivered or has failed for good, before the next event of that Key is attempted.
	// kept says whether the dead-letter file has the event. Done is called on a worker and
	// must not block.
	Done func(key uint64, o Outcome, status int, kept bool)

	// Batch, if above 1, is how many events of any connections are POSTed together, and
	// Linger is how long after its first event a batch that is not full waits for more; 0:
	// not at all.
	Batch  int
	Linger time.Duration

	// Pipeline, if above 1, is how many POSTs, each for another connection, are written at
	// once to one connection with the app while all workers are busy; their
	// answers are read in turn. See pipeline.go.
	Pipeline int

	// JSONDepth is the deepest nesting in the body of a POST, so that the app's JSON parser
	// accepts it whatever a client has sent: data that is nested deeper is sent as text.
	// Default and maximum: 500.
	JSONDepth int

	Secrets []string // sign each POST with all of these; none: no signature

	// Reply is called with what the app's 2xx answer to an event says to the event's
	// connection, before the connection's next event is sent. The Body is valid until it
	// returns. It is called on a worker, which waits for it. Nil: answers are not looked
	// at.
	Reply func(key uint64, r Reply)

	// Regroup is called with the groups that the app's 2xx answer to an event has the
	// event's connection join and leave, at the same point as Reply and before it. It is
	// called on a worker, which waits for it. Nil: answers are not looked at.
	Regroup func(key uint64, join, leave []string)

	// Meta has the metadata of connections, which events carry. The header field X-Ws-Meta
	// of a 2xx answer changes it, at the same point as Reply and before it, unless there
	// are batches or pipelines. What a connection has is dropped after its close event. Nil: answers are not
	// looked at.
	Meta *meta.Store

	// ReplyMax is the largest body, in bytes, that is a reply; default 64 KiB. Each worker
	// holds as much while it reads one.
	ReplyMax int

	// Settles makes Settle work; Reply and Regroup imply it, and Meta if answers can change it.
	Settles bool

	// Drained is called with the key of a lane for which Message has returned full and
	// which is down to half of its bounds. Pressure is called when so much of Memory is in
	// use that another Level applies. Drained is called on a goroutine of the Forwarder's
	// own, with no lock of an event held. So is Pressure if the level falls; if it rises
	// Open, Message or Close call it before they return. Calls of Pressure never overlap.
	// Neither is called after Drain has returned, and neither may call the Forwarder.
	Drained  func(key uint64)
	Pressure func(Level)

	// Clock is the time that the process has run, since some instant; it never goes back.
	// All timeouts go by it. Default: the wall clock; with it a process that was stopped
	// for a while judges what came meanwhile to be too late.
	Clock func() time.Duration

	Log zerolog.Logger
}

const (
	maxConcurrency = 1 << 16
	maxBatch       = 10_000
	maxPipeline    = 256

	MaxJSONDepth = jsoncheck.MaxDepth
	MinJSONDepth = wrapping + 1 // what the gateway itself nests in a batch
)

// withDefaults checks c and sets the fields that were left out.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Concurrency < 0 || c.Concurrency > maxConcurrency:
		return c, fmt.Errorf("callback concurrency %d: want 1 to %d", c.Concurrency, maxConcurrency)
	case c.Timeout < 0:
		return c, errors.New("callback timeout is negative")
	case c.AuthorizeFor < 0:
		return c, errors.New("authorization time is negative")
	case c.Batch < 0 || c.Batch > maxBatch:
		return c, fmt.Errorf("callback batch %d: want 1 to %d", c.Batch, maxBatch)
	case c.Batch > 1 && c.Reply != nil:
		return c, errors.New("callback batches and replies exclude each other: the answer to a batch speaks to nobody in particular")
	case c.Batch > 1 && c.Regroup != nil:
		return c, errors.New("callback batches and groups in answers exclude each other: the answer to a batch speaks of nobody in particular")
	case c.Linger < 0:
		return c, errors.New("the time that a callback batch lingers is negative")
	case c.Pipeline < 0 || c.Pipeline > maxPipeline:
		return c, fmt.Errorf("callback pipeline %d: want 1 to %d", c.Pipeline, maxPipeline)
	case c.Pipeline > 1 && (c.Batch > 1 || c.Reply != nil || c.Regroup != nil || c.Settles):
		return c, errors.New("pipelined callbacks and batches, replies, groups in answers or authorization exclude each other")
	case c.JSONDepth != 0 && (c.JSONDepth < MinJSONDepth || c.JSONDepth > MaxJSONDepth):
		return c, fmt.Errorf("callback JSON depth %d: want %d to %d", c.JSONDepth, MinJSONDepth, MaxJSONDepth)
	case c.RetryFor < 0:
		return c, errors.New("callback retry time is negative")
	case c.ReplyMax < 0:
		return c, errors.New("the limit of replies is negative")
	case c.QueueEvents < 0 || c.QueueBytes < 0:
		return c, errors.New("callback queue bound is negative")
	case c.DeadLetterMaxSize < 0 || c.DeadLetterKeep < 0:
		return c, errors.New("a bound of the dead-letter file is negative")
	case c.Memory < 0:
		return c, errors.New("callback memory is negative")
	}
	for _, field := range c.Headers {
		if reason := headers.Check(field.Name); reason != "" {
			return c, fmt.Errorf("header %q of callbacks: %s", field.Name, reason)
		}
	}
	if slices.Contains(c.Secrets, "") {
		return c, errors.New("a callback secret is empty")
	}
	setDefault(&c.Concurrency, 64)
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.AuthorizeFor, c.Timeout)
	setDefault(&c.RetryFor, 60*time.Second)
	setDefault(&c.Batch, 1)
	setDefault(&c.Pipeline, 1)
	setDefault(&c.JSONDepth, MaxJSONDepth)
	setDefault(&c.ReplyMax, callback.MaxBody)
	setDefault(&c.QueueEvents, 256)
	setDefault(&c.QueueBytes, 1<<20)
	setDefault(&c.Memory, 256<<20)
	setDefault(&c.DeadLetterMaxSize, 100<<20)
	setDefault(&c.DeadLetterKeep, 5)
	c.Settles = c.Settles || c.Reply != nil || c.Regroup != nil || c.answersMeta()
	if c.Drained == nil {
		c.Drained = func(uint64) {}
	}
	if c.Pressure == nil {
		c.Pressure = func(Level) {}
	}
	return c, nil
}

// answersMeta reports whether answers change metadata: whether each is about one event.
func (c *Config) answersMeta() bool { return c.Meta != nil && c.Batch == 1 && c.Pipeline == 1 }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
