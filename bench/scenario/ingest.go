package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/sink"
)

// Ingest measures client → gateway → POST → an app that only takes events: with
// one POST for each, or in batches. One POST each is compared with a bare client
// that makes the same ones, in the same round.
type Ingest struct {
	Traffic
	Conns       []int `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Batch       []int `default:"1,100" placeholder:"N" help:"Events in a POST at most (--callback-batch); several numbers are several cases."`
	Depth       int   `default:"0" placeholder:"N" help:"Messages of a connection under way in the closed loop. 0: 1 for one POST each, 16 for batches."`
	Concurrency int   `default:"64" placeholder:"N" help:"POSTs under way at one time (--callback-concurrency), also of the bare client."`
}

// Cases are one for each number of connections and size of batch.
func (g Ingest) Cases(Options) (cases []Case, err error) {
	m, err := load.Event(g.Size)
	if err := firstOf(g.possible(), possible("--conns", g.Conns...), err); err != nil {
		return nil, err
	}
	for _, conns := range g.Conns {
		for _, batch := range g.Batch {
			if batch < 1 || g.Concurrency < 1 || g.Depth < 0 {
				return nil, errors.New("--batch and --concurrency must be at least 1, --depth must not be below 0")
			}
			i := ingest{conns: conns, batch: batch, concurrency: g.Concurrency, load: g.Traffic, message: m}
			if i.load.depth = g.Depth; g.Depth == 0 && batch > 1 {
				i.load.depth = 16
			}
			name := i.load.describe(conns) + ", one POST each"
			if batch > 1 {
				name = i.load.describe(conns) + fmt.Sprintf(", batches of %s", count(batch))
			}
			cases = append(cases, Case{Scenario: "ingest", Name: name, Gateway: true, round: i.round})
		}
	}
	return cases, nil
}

type ingest struct {
	conns, batch, concurrency int
	load                      Traffic
	message                   *load.Message
}

func (i ingest) round(s *stage) {
	var bare forwarding
	if i.batch == 1 {
		within("a bare client", func() { s.part(func() { bare = i.bare(s) }) })
	}
	var r load.Result
	var used []cost
	var seen forwarding
	s.part(func() {
		app := i.counter(s)
		gateway := s.gateway(app.CallbackURL(), append([]string{
			"--callback-batch", strconv.Itoa(i.batch), "--callback-concurrency", strconv.Itoa(i.concurrency),
		}, patient...)...)
		c := s.users(gateway, i.conns)
		before := s.told(app, i.conns, gateway, app.Process)
		check(c.Tally(app.Addr()))
		err := attempt(func() { r, used = s.traffic(c, i.load, i.message, gateway, app.Process) })
		after, counting := app.Stats()
		check(right(after, i.conns)) // it knows more than that something was missing
		check(errors.Join(err, counting))
		if r.Messages == 0 {
			check(fmt.Errorf("no event reached the app in %v", i.load.Duration))
		}
		seen = forwarded(before, after)
	})
	var reading float64
	within("without callbacks", func() { reading = i.reading(s, r.Rate()) })
	i.figures(s, r, used, reading, seen, bare)
}

// counter runs an app that takes events.
func (i ingest) counter(s *stage) app { return s.app("counter", "--size", strconv.Itoa(i.load.Size)) }

// reading measures what the gateway pays for a million messages that it only
// receives, at a rate. They come one by one then, where in the closed loop several
// may be read at once: it can be more than all that they cost there.
func (i ingest) reading(s *stage, rate float64) float64 {
	gateway := s.gateway("", patient...)
	t := i.load
	t.Rate, t.oneWay, t.Duration = rate, true, t.Duration/2
	name := s.name
	s.name += "_without_callbacks"
	defer func() { s.name = name }()
	r, used := s.traffic(s.users(gateway, i.conns), t, i.message, gateway)
	return used[0].perMillion(r.Messages)
}

// forwarding is what a client of the app did.
type forwarding struct {
	events, posts, bytes uint64
	cost                 // of the client
	elapsed              time.Duration
}

func forwarded(before, after sink.Stats) forwarding {
	return forwarding{events: after.Message - before.Message, posts: after.Requests - before.Requests, bytes: after.Bytes - before.Bytes}
}

// figures are of what r counts in the window; seen is the whole time, bare the
// bare client in a window of its own, reading what a million cost without callbacks.
func (i ingest) figures(s *stage, r load.Result, used []cost, reading float64, seen, bare forwarding) {
	gateway := used[0].perMillion(r.Messages)
	s.add("events", "1/s", r.Rate())
	s.add("gateway CPU, a million", "s", gateway)
	s.add("gateway CPU of reading alone, a million", "s", reading)
	rest := max(0, gateway-reading) // the goals are about calling the app; a bare client reads no WebSocket
	s.add("gateway CPU of the rest, a million", "s", rest)
	if bare.events > 0 {
		million := bare.perMillion(bare.events)
		s.add("bare fasthttp client CPU, a million", "s", million)
		s.add("gateway CPU, of a bare client's", "", gateway/million)
		s.add("gateway CPU of the rest, of a bare client's", "", rest/million)
		s.add("bare fasthttp client, events", "1/s", float64(bare.events)/bare.elapsed.Seconds())
		s.add("bytes of a POST, of a bare client's", "", each(seen.bytes, seen.posts)/each(bare.bytes, bare.posts))
	}
	s.add("events in a POST", "", each(seen.events, seen.posts))
	s.addServer("gateway", used[0], r)
	s.add("app CPU, a million (not the gateway's)", "s", used[1].perMillion(r.Messages))
	s.addTraffic(r)
}

func each(of, n uint64) float64 { return float64(of) / float64(max(n, 1)) }

// bare measures the bare client.
func (i ingest) bare(s *stage) forwarding {
	s.show("a bare client")
	app := i.counter(s)
	poster := s.self("bare client", "poster", "--target", app.Addr().String(), "--size", strconv.Itoa(i.load.Size),
		"--conns", strconv.Itoa(i.conns), "--concurrency", strconv.Itoa(i.concurrency))
	s.pause(i.load.Warmup, poster, app.Process)
	before, began := must(app.Stats()), time.Now()
	used := costing([]*child.Process{poster}, func() { s.pause(i.load.Duration, poster, app.Process) })
	after := must(app.Stats())
	if after.Failed > 0 {
		check(fmt.Errorf("the app saw %d wrong events, the first: %s", after.Failed, after.Failure))
	}
	f := forwarded(before, after)
	if f.cost, f.elapsed = used[0], time.Since(began); f.events == 0 {
		check(fmt.Errorf("no event reached the app in %v", f.elapsed))
	}
	return f
}
