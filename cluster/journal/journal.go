package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/packet"
)

// Config of a Journal. All of it is required.
type Config struct {
	// Connect connects to NATS; it may take as long as an attempt to connect. It is called
	// again if the connection has been ended for good.
	Connect func() (*nats.Conn, error)

	App       string
	DeadAfter time.Duration // without a sign of life, until others take over

	// Heard are the instances that are heard: nobody has to look after them.
	Heard func() map[packet.Instance]bool

	// Lost sends the close events of connections of an instance that is gone, and returns
	// when all have been delivered or have failed for good, or when ctx is done. It calls
	// Closed for each. There is one call at a time.
	Lost func(ctx context.Context, lost iter.Seq[Entry]) error

	// Fenced is called if others have taken over this instance's connections, because they
	// have not heard of it for DeadAfter: it must end them without events.
	Fenced func()

	// Again records all connections that are open once more, as the stream that had them is
	// lost. It calls room before every few of them.
	Again func(ctx context.Context, room func(context.Context) error) error

	// Owner is the instance that a connection's id is of.
	Owner func(id string) (packet.Instance, bool)

	Log zerolog.Logger
}

// Journal records an instance's connections, and takes over those of others. Make it with
// New.
type Journal struct {
	cfg     Config
	self    packet.Instance // set by Start: whose connections are recorded
	run     packet.Instance // likewise: who writes
	before  *Place          // see GoOn
	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	keeping context.Context // ends with Retire
	retire  context.CancelFunc
	own     *writer
	running chan struct{} // closed when the writer runs
	started bool
	work    sync.WaitGroup

	renewed  chan struct{} // of one place: the stream is another one
	released chan struct{} // likewise: close events were sent that were held
	gaps     chan uint64   // likewise: what was recorded is not whole; how many losses had been told of by then

	records, failures, dropped, compactions, unheld, takeovers, closed, ignored, losses atomic.Uint64
	appends, purges                                                                     atomic.Uint64 // to this instance's subject, and of it: see gap

	endings endings

	releasing sync.Mutex // held by who takes close events out of held

	mu     sync.Mutex  // guards following
	lease  time.Time   // until when nobody can have taken over
	doubt  bool        // what is recorded now may not reach the stream
	broke  time.Time   // when the link has broken last
	held   []heldClose // see HoldBack
	left   bool        // what is held is left to others
	place  Place
	taken  map[packet.Instance]*writer
	isOver bool // others have taken over

	writing, reading, tidying trouble

	toldOfStrangers sync.Once
	toldOfLarge     sync.Once

	// The keeper's: as it has last seen the stream.
	strangeSubjects int
	limits          string // what makes it remove messages by itself; empty: nothing does
	gap             gap
}

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Records     uint64
	Failures    uint64 // batches that could not be written at once
	Dropped     uint64 // records for which there was no room
	Compactions uint64
	Waiting     int64  // gauge: bytes of records that wait
	Held        int64  // gauge: close events that are held back
	Unheld      uint64 // close events for which there was no room to hold them back
	Takeovers   uint64 // instances whose connections were taken over
	Closed      uint64 // connections of these
	Ignored     uint64 // messages and subjects of the stream that are no instance's
	Losses      uint64 // times that the stream had lost what was in it, and what is open was recorded again
}

// New makes a Journal; Start begins.
func New(cfg Config) *Journal {
	j := &Journal{
		cfg: cfg, running: make(chan struct{}), renewed: make(chan struct{}, 1), released: make(chan struct{}, 1), gaps: make(chan uint64, 1),
		taken: map[packet.Instance]*writer{},
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.keeping, j.retire = context.WithCancel(j.ctx)
	j.own = newWriter(j, nil, true)
	j.writing = trouble{
		fails: "the cluster's journal cannot be written: is JetStream there, and may this gateway's user use it? Connections that open meanwhile may be missing from it; it is tried on and on",
		works: "the cluster's journal is written again",
	}
	j.reading = trouble{
		fails: "the cluster's journal cannot be read: is JetStream there, and may this gateway's user use it? If a gateway is gone meanwhile, this one does not send the close events of its connections; it is tried on and on",
		works: "the cluster's journal is read again",
	}
	j.tidying = trouble{
		fails: "what is closed cannot be removed from the cluster's journal, which grows: may this gateway's user read and purge it? It is tried again as it grows",
		works: "what is closed is removed from the cluster's journal again",
	}
	return j
}

func (j *Journal) ledger(of packet.Instance, s *streams) *ledger {
	l := &ledger{streams: s, subject: s.subject(of), writer: j.run, sure: j.sureFor()}
	l.strange = func() { j.stranger(l.subject) }
	l.renewed = func(bool) {}
	return l
}

// Place is where a run of an instance leaves its subject, for the next run, which goes on
// with connections of it.
type Place struct {
	Writer packet.Instance // that run's number
	Stream time.Time       // when the stream was made to which it has appended last; zero: it never has
}

// Place returns the place of this run.
func (j *Journal) Place() Place {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Place{j.run, j.place.Stream}
}

// GoOn says that connections of this instance are in its subject already, where an earlier
// run has left it. Until the first append has shown that nobody has taken over meanwhile,
// close events are held back; if somebody has, Config.Fenced is called. It must be called
// before Start.
func (j *Journal) GoOn(p Place) {
	j.before = &p
	j.lease = longOver
}

// Start begins to write what is recorded of an instance, self, and to look after others. run
// is this run's own number, which none before it has had. Nothing may be recorded before.
func (j *Journal) Start(self, run packet.Instance) {
	j.started, j.self, j.run = true, self, run
	j.work.Go(func() {
		var parts sync.WaitGroup
		l := &link{connect: j.cfg.Connect, log: j.cfg.Log, made: func(conn *nats.Conn) {
			changes := conn.StatusChanged()
			parts.Go(func() { j.watch(changes) })
		}}
		js, err := l.jetStream()
		if err != nil {
			j.cfg.Log.Error().Err(err).Msg("the cluster's journal cannot be used: close events of this gateway's connections are not sent by others")
			return
		}
		defer l.close()
		j.own.ledger = j.ledger(self, &streams{link: l, js: js, app: j.cfg.App})
		j.own.ledger.before, j.own.ledger.renewed, j.own.ledger.purges = j.before, j.beginAgain, &j.purges
		close(j.running)
		parts.Go(j.own.run)
		parts.Go(j.hurry)
		parts.Go(j.recordAgain)
		parts.Go(func() { j.keep(&streams{link: l, js: js, app: j.cfg.App}) })
		parts.Wait()
	})
}

// Retire ends the looking after others. What is under way is recorded until Stop.
func (j *Journal) Retire() { j.retire() }

// stopFor is how long Stop waits for what is being written, for what waits then, and for the
// subject to be emptied: each time.
const stopFor = time.Second

// Stop writes what waits, for a second or two. If all of this instance's connections are
// closed, which clean says, and no close event is held, nothing is left for others to do.
func (j *Journal) Stop(clean bool) {
	if !j.started {
		return
	}
	j.retire()
	late := time.AfterFunc(stopFor, j.cancel) // or a JetStream that does not answer would hold us up for longer
	defer late.Stop()
	j.mu.Lock()
	taken := slices.Collect(maps.Values(j.taken))
	j.mu.Unlock()
	for _, w := range taken {
		w.finish()
	}
	j.own.once.Do(func() { close(j.own.stop) })
	select {
	case <-j.running:
		<-j.own.ended
		if clean && j.own.bytes() == 0 && j.Held() == 0 && !j.over() && j.own.ledger.last > 0 {
			limited, cancel := context.WithTimeout(context.Background(), stopFor)
			defer cancel()
			if err := j.own.ledger.purge(limited, 0); err != nil {
				j.failed(&j.tidying, err)
			}
		}
	default: // NATS was never reached
	}
	j.cancel()
	j.work.Wait()
}

// Opened is forward.Journal's: it records a connection.
func (j *Journal) Opened(id, state []byte, recorded func()) {
	j.own.put(kindOpened, id, state, recorded)
}

// Renamed is forward.Journal's: it records a connection once more. Of its records the last one
// counts: compaction keeps their order.
func (j *Journal) Renamed(id, state []byte) { j.own.put(kindOpened, id, state, nil) }

// Meta is forward.Journal's: it records a connection's metadata.
func (j *Journal) Meta(id []byte, number uint64, value []byte) {
	j.own.put(kindMeta, id, metaState(number, value), nil)
}

// Closed is forward.Journal's: it records that the close event of a connection has been
// dealt with, be it of this instance or one that was taken over.
func (j *Journal) Closed(id []byte) {
	w := j.own
	if owner, ok := j.cfg.Owner(string(id)); ok && owner != j.self {
		j.mu.Lock()
		w = j.taken[owner]
		j.mu.Unlock()
		if w == nil {
			return // another one has taken it over in turn
		}
		j.closed.Add(1)
	}
	j.endings.ended(id, func() { w.put(kindClosed, id, nil, nil) })
}

// beatEvery is how often an instance that has nothing to record shows that it lives.
func (j *Journal) beatEvery() time.Duration { return j.cfg.DeadAfter / 5 }

// sureFor is how long after it has begun to append nobody can have taken over, with something to
// spare.
func (j *Journal) sureFor() time.Duration { return j.cfg.DeadAfter - j.beatEvery() }

// trouble is something that fails and is tried again. The log is told when that begins, and
// when it is over. Each thing that can fail by itself has its own.
type trouble struct {
	fails, works string // what the log is told
	told         bool   // guarded by Journal.mu: that it fails
}

// failed counts, and logs the first failure.
func (j *Journal) failed(t *trouble, err error) {
	j.failures.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	if !t.told && j.ctx.Err() == nil {
		t.told = true
		j.cfg.Log.Warn().Err(err).Msg(t.fails)
	}
}

func (j *Journal) works(t *trouble) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.worksLocked(t)
}

func (j *Journal) worksLocked(t *trouble) {
	if t.told {
		t.told = false
		j.cfg.Log.Info().Msg(t.works)
	}
}

// stranger counts something on a subject of the stream that no instance has appended.
func (j *Journal) stranger(subject string) {
	j.ignored.Add(1)
	j.toldOfStrangers.Do(func() {
		j.cfg.Log.Warn().Str("subject", subject).Msg("something that no gateway has written is in the cluster's journal, and is ignored; more of it is counted: who else publishes on its subjects?")
	})
}

// fenced is called by a writer whose ledger somebody else has taken over.
func (j *Journal) fenced(w *writer) {
	j.mu.Lock()
	if w.own {
		j.isOver, j.held = true, nil
	}
	j.mu.Unlock()
	if w.own {
		j.cfg.Fenced()
	}
}

func (j *Journal) over() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.isOver
}

// hurry lets connections go on whose record takes too long, and has close events wait.
func (j *Journal) hurry() {
	ticker := time.NewTicker(patience / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			j.own.hurry()
			if j.own.slow() {
				j.doubts()
			}
		case <-j.ctx.Done():
			return
		}
	}
}

// Stats returns a snapshot.
func (j *Journal) Stats() Stats {
	return Stats{
		Records: j.records.Load(), Failures: j.failures.Load(), Dropped: j.dropped.Load(), Compactions: j.compactions.Load(),
		Waiting: int64(j.own.bytes()), Held: int64(j.Held()), Unheld: j.unheld.Load(), Takeovers: j.takeovers.Load(), Closed: j.closed.Load(),
		Ignored: j.ignored.Load(), Losses: j.losses.Load(),
	}
}

var errUnreadable = errors.New("the journal of an instance that is gone cannot be read")

func unreadable(err error) error { return fmt.Errorf("%w: %w", errUnreadable, err) }
