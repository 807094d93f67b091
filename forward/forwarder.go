package forward

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ws-gateway/forward/callback"
	"ws-gateway/forward/deadletter"
)

// Forwarder delivers events to the app.
type Forwarder struct {
	// Static after New.
	cfg    Config // terms has what can change
	dialer func(callback.Target) callback.DialFunc
	policy *policy
	epoch  time.Time // instants count from here, without Config.Clock

	terms     atomic.Pointer[terms]
	events    eventPool
	lanes     table
	pool      *pool
	pressure  *pressure
	failures  *failures
	observer  *observer
	heads     heads
	replies   replies
	regroups  regroups
	notes     notes
	partials  partials
	divisions divisions
	letters   *deadletter.File
	lost      chan struct{} // holds a value for each lost connection whose close event waits
	lostKeys  uint64        // of lanes of lost connections; for CloseLost alone
	counters  counters

	histograms histograms

	// Lifetime.
	ctx       context.Context // of connecting, ends with cancel
	cancel    context.CancelFunc
	dialing   atomic.Pointer[dialing] // a part of ctx, which Hold ends
	workers   []*worker
	delivery  sync.WaitGroup // workers and the pool's keeper
	witnesses sync.WaitGroup // goroutines that outlive them: pressure, failures, observer
	started   bool
	draining  atomic.Bool
	empty     chan struct{} // has one place; a value says that the last lane is gone, while draining
	drain     sync.Once
	leftover  Leftover
}

// New checks cfg and opens the dead-letter file; nothing runs before Start.
func New(cfg Config) (*Forwarder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t, err := newTerms(&cfg, callback.Target.Dialer, nil)
	if err != nil {
		return nil, err
	}
	letters, err := deadletter.Open(cfg.DeadLetter, cfg.DeadLetterMaxSize, cfg.DeadLetterKeep, cfg.Log)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		cfg:     cfg,
		dialer:  callback.Target.Dialer,
		policy:  &policy{random: rand.Float64},
		epoch:   time.Now(),
		letters: letters,
		empty:   make(chan struct{}, 1),
		lost:    make(chan struct{}, lostWindow),
	}
	f.events.levels = cfg.JSONDepth
	f.terms.Store(t)
	f.histograms = newHistograms()
	f.lanes.bounds = bounds{events: cfg.QueueEvents, bytes: cfg.QueueBytes}
	f.lanes.batches = cfg.Batch > 1
	f.pool = newPool(f.policy, cfg.RetryFor, cfg.Concurrency, f.now, f.outage)
	f.pool.sched.batching = newBatching(cfg.Batch, cfg.Linger, f.lanes.available.Load)
	f.pool.sched.pipeline(cfg.Pipeline, cfg.Meta.Limit())
	f.pool.expire = f.expire
	f.pressure = newPressure(cfg.Memory, cfg.Pressure)
	f.lanes.memory = f.pressure
	f.observer = newObserver(f)
	f.failures = newFailures(cfg.Log, f.now)
	f.failures.summedUp = f.observer.active.Load
	f.partials.log, f.divisions.log = cfg.Log, cfg.Log
	f.heads.log, f.replies.log, f.regroups.log, f.notes.log = cfg.Log, cfg.Log, cfg.Log, cfg.Log
	if cfg.answersMeta() {
		f.notes.store = cfg.Meta
	}
	f.lanes.meta = cfg.Meta
	cfg.Meta.SetDepth(cfg.JSONDepth - wrapping)
	f.replies.limit.Store(int64(cfg.ReplyMax))
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.dialing.Store(newDialing(f.ctx))
	return f, nil
}

// dialing is the context of connecting until the next Hold.
type dialing struct {
	context.Context
	cancel context.CancelFunc
}

func newDialing(of context.Context) *dialing {
	ctx, cancel := context.WithCancel(of)
	return &dialing{ctx, cancel}
}

// Start runs the workers.
func (f *Forwarder) Start() {
	f.started = true
	f.witnesses.Go(func() { f.pressure.watch(func() bool { return f.lanes.sweep(f.cfg.Drained) }) })
	f.witnesses.Go(f.failures.summarise)
	f.witnesses.Go(f.observer.watch)
	f.delivery.Go(f.pool.keep)
	for range f.cfg.Concurrency {
		w := newWorker(f)
		f.workers = append(f.workers, w)
		f.delivery.Go(w.run)
	}
}

// now is the present instant by Config.Clock.
func (f *Forwarder) now() time.Duration {
	if f.cfg.Clock != nil {
		return f.cfg.Clock()
	}
	return time.Since(f.epoch)
}

// Open, Message and Close append an event to its connection's lane. They copy data, never
// block, and may be called from any goroutine; but all calls for one Key come from one
// goroutine.
func (f *Forwarder) Open(src Source, req Request) {
	f.append(&src, f.events.open(&src, &req))
}

// Message returns full if the lane has reached its bounds. The caller then stops reading
// the connection until Config.Drained names it, which happens once for all calls that
// have returned full up to then. The event is accepted in any case. binary data is sent
// as base64.
func (f *Forwarder) Message(src Source, data []byte, binary bool) (full bool) {
	return f.append(&src, f.events.message(&src, data, binary))
}

// Resumed tells the app that the client is back, whose connection had no transport for so
// long. It returns full as Message does.
func (f *Forwarder) Resumed(src Source, away time.Duration) (full bool) {
	return f.append(&src, f.events.resumed(&src, away))
}

// Close appends the connection's last event.
func (f *Forwarder) Close(src Source, end End) {
	f.append(&src, f.events.close(&src, &end))
}

func (f *Forwarder) append(src *Source, e *event) (full bool) {
	now := f.now()
	e.queued = now
	// Counted first, because a worker may have finished e before add returns.
	f.pressure.add(e.cost() + e.metaCost())
	f.counters.events.Add(1)
	a := f.lanes.add(src.Key, e)
	if a.closed {
		f.end(nil, e, ending{outcome: CutOff})
		return false
	}
	if a.over {
		f.pressure.wake()
	}
	if a.lane != nil {
		f.counters.lanes.Add(1)
		f.pressure.add(a.cost)
		f.ready(a.lane, e.action, src, now)
	}
	if a.lane == nil && a.waits > 0 && a.waits%int64(f.cfg.Batch) == 0 {
		f.pool.look() // a batch may be full
	}
	return a.full
}

// outage counts that the app has become unreachable, and has the log say so.
func (f *Forwarder) outage() {
	f.counters.outages.Add(1)
	f.observer.wake()
}
