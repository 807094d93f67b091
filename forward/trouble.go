package forward

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/trouble"
)

// lookEvery is how often the observer looks at the app's answers. At the first failures it
// looks at once.
const lookEvery = time.Second

// longPatience is how long attempts may be under way and nothing come back before that is
// trouble. It is shorter if Config.Timeout is short.
const longPatience = 5 * time.Second

// observer counts what the app answers, logs when the app does not take events, and knows
// how things stand. Attempts that succeed cost it nothing: they are counted elsewhere.
type observer struct {
	f      *Forwarder
	poke   chan struct{} // has one place; a value says that something has failed
	quit   chan struct{}
	active atomic.Bool // there is trouble: failures are summed up
	begun  atomic.Uint64

	mu       sync.Mutex // guards the following
	failed   trouble.Failures
	cause    error // of the last attempt without a connection
	refusal  int   // the last status with which a client was refused
	machine  trouble.Machine
	last     counts
	letters  uint64 // how many had been written when it began
	earliest time.Time
}

// counts are values of counters.
type counts struct{ delivered, refused, givenUp uint64 }

func newObserver(f *Forwarder) *observer {
	return &observer{f: f, poke: make(chan struct{}, 1), quit: make(chan struct{})}
}

// attempt notes the outcome of an attempt at an event of connection key.
func (o *observer) attempt(key uint64, outcome Outcome, status int, err error) {
	if outcome == Delivered || outcome == CutOff {
		return
	}
	label := outcome.String()
	if outcome == Rejected || outcome == Unavailable {
		label = strconv.Itoa(status)
	}
	o.mu.Lock()
	o.failed.Add(label, key)
	if outcome == Unreachable {
		o.cause = err
	}
	o.mu.Unlock()
	o.wake()
}

// refused notes that the app has refused a client, which it may.
func (o *observer) refused(status int) {
	o.mu.Lock()
	o.refusal = status
	o.mu.Unlock()
}

// wake has the observer look at the answers, unless it does so often enough.
func (o *observer) wake() {
	if o.active.Load() {
		return
	}
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// watch looks until quit is closed.
func (o *observer) watch() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			o.look((*trouble.Machine).Look)
		case <-o.poke:
			o.look((*trouble.Machine).Look)
		case <-o.quit:
			o.look((*trouble.Machine).Finish)
			return
		}
	}
}

func (o *observer) look(how func(*trouble.Machine, *trouble.Sample) (trouble.Report, bool)) {
	f := o.f
	g := f.pool.gauges()
	now := counts{delivered: f.counters.outcomes[Delivered].Load(), refused: f.counters.refused.Load()}
	for a := range actions {
		now.givenUp += f.counters.failed[a].Load()
	}
	letters, _ := f.letters.Counts()
	o.mu.Lock()
	s := trouble.Sample{
		Now: f.now(), Failed: o.failed, Down: g.down, InFlight: g.inFlight, Waiting: int(f.counters.events.Load()),
		Delivered: now.delivered - o.last.delivered, Refused: now.refused - o.last.refused, GivenUp: now.givenUp - o.last.givenUp,
	}
	o.failed, o.last = trouble.Failures{}, now
	o.machine.Patience = min(longPatience, f.terms.Load().timeout/2)
	r, tell := how(&o.machine, &s)
	if r.Begins {
		o.letters = letters
		o.earliest = time.Now()
		o.begun.Add(1)
		o.active.Store(true)
	}
	cause, refusal, kept, since := o.cause, o.refusal, letters-o.letters, o.earliest
	o.mu.Unlock()
	if !tell {
		return
	}
	o.log(&r, f.diagnose(&r, cause, refusal), kept, since)
	if r.Over {
		o.active.Store(false)
	}
}

// log writes a report's line.
func (o *observer) log(r *trouble.Report, d diagnosis, letters uint64, since time.Time) {
	log := &o.f.cfg.Log
	if r.Over {
		line := log.Info()
		if r.GivenUp > 0 {
			line = log.Warn()
		}
		line = line.Uint64("given_up", r.GivenUp).Uint64("dead_letters", letters).Int("waiting", r.Waiting)
		if r.GivenUp > 0 {
			line = o.f.failures.name(line)
		}
		switch {
		case r.Unknown:
			line.Msgf("the app has been sent nothing for a minute, after %s of trouble: whether it takes events is not known", rounded(r.For))
		case r.Kind == trouble.Unreachable:
			line.Msgf("app reachable again after %s", rounded(r.For))
		default:
			line.Msgf("the app takes events again after %s", rounded(r.For))
		}
		return
	}
	line := log.Warn()
	if d.cause != nil {
		line = line.Err(d.cause)
	}
	line = line.Str("fix", d.fix).Int("waiting", r.Waiting).Uint64("given_up", r.GivenUp)
	if r.GivenUp > 0 {
		line = o.f.failures.name(line)
	}
	if r.Begins {
		line.Msg(d.text)
		return
	}
	line.Time("since", since).Dict("answers", answersOf(&r.Recently)).Uint64("dead_letters", letters).
		Msgf("for %s: %s", rounded(r.For), d.text)
}

func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

func answersOf(a *trouble.Answers) *zerolog.Event {
	d := zerolog.Dict()
	for _, c := range listAnswers(a) {
		d = d.Uint64(c.Label, c.Count)
	}
	return d
}

// listAnswers lists answers in a fixed order.
func listAnswers(a *trouble.Answers) (list []AnswerCount) {
	if a.Delivered > 0 {
		list = append(list, AnswerCount{Delivered.String(), a.Delivered})
	}
	if a.Refused > 0 {
		list = append(list, AnswerCount{"client refused", a.Refused})
	}
	for _, label := range slices.Sorted(maps.Keys(a.Failed)) {
		list = append(list, AnswerCount{label, a.Failed[label]})
	}
	return list
}

// diagnosis says in words what is wrong and what to do.
type diagnosis struct {
	text, fix string
	cause     error // if there was no connection
}

// diagnose says what a report means with this configuration.
func (f *Forwarder) diagnose(r *trouble.Report, cause error, refusal int) diagnosis {
	t := f.terms.Load()
	app := t.target.Name
	window := fmt.Sprintf("; events are tried for %s (--callback-retry-for)", t.retryFor)
	switch r.Kind {
	case trouble.Unreachable:
		fix := "start the app, or correct --callback-url"
		if cause != nil && strings.Contains(cause.Error(), "certificate") {
			fix = "name the authority of the app's certificate with --callback-ca"
		}
		return diagnosis{"app unreachable at " + app + ": is it running, and listening there? Callbacks wait meanwhile", fix + window, cause}
	case trouble.Silent:
		return diagnosis{"the app at " + app + " does not answer", fmt.Sprintf("look at what the app is busy with; an answer is waited for for %s (--callback-timeout)", t.timeout) + window, nil}
	case trouble.Refusing:
		return diagnosis{fmt.Sprintf("the app at %s refuses every client, the last one with %d", app, refusal), "if it is the signature that it refuses, the app has to answer 503 with X-Ws-Error: signature, and --callback-secret must be the app's", nil}
	}
	label := r.Recently.Main()
	if label == "" {
		label = r.Answers.Main()
	}
	if label == "" { // it is trouble because nothing else has succeeded since
		label = r.Latest
	}
	if status, err := strconv.Atoi(label); err == nil && classify(status, nil) == Rejected {
		window = "; what it answers so is not sent again"
	}
	return diagnosis{"the app at " + app + " does not take events: " + saying(label), f.remedy(label, len(t.secrets) > 0) + window, nil}
}

// saying is a label in a sentence.
func saying(label string) string {
	if _, err := strconv.Atoi(label); err == nil {
		return "it answers " + label
	}
	return label
}

// remedy says what to do about an answer.
func (f *Forwarder) remedy(label string, signed bool) string {
	status, _ := strconv.Atoi(label)
	switch {
	case label == SignatureRefused.String():
		return "the app refuses the signature: --callback-secret must be one of the app's secrets, and the clocks must agree"
	case label == TimedOut.String():
		return "look at what the app is busy with, or raise --callback-timeout"
	case label == Starved.String():
		return "raise the descriptor limit, or lower --max-connections"
	case label == Broken.String():
		return "the app breaks connections off, or does not speak HTTP: look into its log, and at --callback-url"
	case label == Unreachable.String():
		return "start the app, or correct --callback-url"
	case (status == 401 || status == 403) && signed:
		return "the app refuses the gateway itself: compare --callback-secret with the app's; it should answer 503 with X-Ws-Error: signature"
	case status == 401 || status == 403:
		return "the app refuses the gateway itself: does it want a signature (--callback-secret) or a header (--callback-header)?"
	case status == 404 || status == 405 || status/100 == 3:
		return "is the path of --callback-url right?"
	case status == 413:
		return "the app takes no body of that size: raise its limit, or lower --max-message-size or --callback-batch"
	case status == 429:
		return "the app limits its callers: lower --callback-concurrency, or raise its limit"
	case status/100 == 4:
		return "look into the app's log"
	}
	return "look into the app's log"
}

// Trouble is how things stand while the app does not take events.
type Trouble struct {
	Since   time.Time
	Kind    string        // unreachable, silent, failing or refusing
	Text    string        // what is wrong
	Fix     string        // what to do
	Answers []AnswerCount // since then
	Waiting int           // events
	GivenUp uint64        // events, since then
}

// AnswerCount is how many attempts had an outcome: "delivered", "500", "timeout".
type AnswerCount struct {
	Label string
	Count uint64
}

var kindNames = [...]string{trouble.Unreachable: "unreachable", trouble.Silent: "silent", trouble.Failing: "failing", trouble.Refusing: "refusing"}

// state returns how things stand; nil: the app takes events, as far as anybody knows.
func (o *observer) state() *Trouble {
	o.mu.Lock()
	r, ok := o.machine.State(o.f.now())
	cause, refusal, since := o.cause, o.refusal, o.earliest
	o.mu.Unlock()
	if !ok {
		return nil
	}
	d := o.f.diagnose(&r, cause, refusal)
	return &Trouble{since, kindNames[r.Kind], d.text, d.fix, listAnswers(&r.Answers), r.Waiting, r.GivenUp}
}
