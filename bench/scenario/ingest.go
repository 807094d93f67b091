package scenario

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/sink"
)

// Ingest measures client → gateway → POST → an app that only takes events: with
// one POST for each, where batch is below 2, or in batches. concurrency is how
// many POSTs are under way at one time. One POST each is compared with a bare
// client that makes the same ones, in the same round.
func Ingest(conns, batch, concurrency int, t Traffic) (Case, error) {
	m, err := load.Event(t.Size)
	if err != nil {
		return Case{}, err
	}
	i := ingest{conns, max(batch, 1), concurrency, t, m}
	name := t.describe(conns) + ", one POST each"
	if i.batch > 1 {
		name = t.describe(conns) + fmt.Sprintf(", batches of %s", count(i.batch))
	}
	return Case{Scenario: "ingest", Name: name, round: i.round}, nil
}

type ingest struct {
	conns, batch, concurrency int
	traffic                   Traffic
	message                   *load.Message
}

func (i ingest) round(ctx context.Context, s stage) (outcome, error) {
	var bare forwarding
	var err error
	if i.batch == 1 {
		if bare, err = i.bare(ctx, s); err != nil {
			return outcome{}, fmt.Errorf("a bare client: %w", err)
		}
	}
	app, control, err := s.Servers.startCounter(ctx, i.traffic.Size)
	if err != nil {
		return outcome{}, err
	}
	defer app.Stop(stopGrace)
	gateway, err := s.Servers.startGateway(ctx, control.CallbackURL(), append([]string{
		"--callback-batch", strconv.Itoa(i.batch), "--callback-concurrency", strconv.Itoa(i.concurrency),
	}, patient...))
	if err != nil {
		return outcome{}, err
	}
	defer gateway.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, i.conns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	before, err := i.told(ctx, s, control, gateway, app)
	if err != nil {
		return outcome{}, err
	}
	if err := c.Tally(app.Addr()); err != nil {
		return outcome{}, err
	}
	r, used, err := s.window(ctx, c, i.traffic, i.message, gateway, app)
	after, counting := control.Stats()
	if err := check(after, i.conns); err != nil { // it knows more than that something was missing
		return outcome{}, err
	}
	if err != nil {
		return outcome{}, err
	}
	if counting != nil {
		return outcome{}, counting
	}
	if r.Messages == 0 {
		return outcome{}, fmt.Errorf("no event reached the app in %v", i.traffic.Duration)
	}
	c.Close()
	gateway.Stop(stopGrace)
	reading, err := i.reading(ctx, s, r.Rate())
	if err != nil {
		return outcome{}, fmt.Errorf("without callbacks: %w", err)
	}
	return i.figures(s, r, used, reading, forwarding{
		events: after.Message - before.Message, posts: after.Requests - before.Requests, bytes: after.Bytes - before.Bytes,
	}, bare), nil
}

// reading measures what the gateway pays for a million messages that it only
// receives, at a rate. They come one by one then, where in the closed loop several
// may be read at once: it can be more than all that they cost there.
func (i ingest) reading(ctx context.Context, s stage, rate float64) (float64, error) {
	gateway, err := s.Servers.startGateway(ctx, "", patient)
	if err != nil {
		return 0, err
	}
	defer gateway.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, i.conns)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	t := i.traffic
	t.Rate, t.OneWay, t.Duration = rate, true, t.Duration/2
	s.name += " without callbacks"
	r, used, err := s.window(ctx, c, t, i.message, gateway)
	if err != nil {
		return 0, err
	}
	return used[0].perMillion(r.Messages), nil
}

// forwarding is what a client of the app did.
type forwarding struct {
	events, posts, bytes uint64
	cpu                  time.Duration // of the client
	elapsed              time.Duration
}

func (f forwarding) perMillion() float64 { return cost{cpu: f.cpu}.perMillion(f.events) }

// figures are of what r counts in the window; seen is the whole time, bare the
// bare client in a window of its own, reading what a million cost without callbacks.
func (i ingest) figures(s stage, r load.Result, used []cost, reading float64, seen, bare forwarding) outcome {
	var o outcome
	gateway := used[0].perMillion(r.Messages)
	o.add("events", "1/s", r.Rate())
	o.add("gateway CPU, a million", "s", gateway)
	o.add("gateway CPU of reading alone, a million", "s", reading)
	rest := max(0, gateway-reading) // the goals are about calling the app; a bare client reads no WebSocket
	o.addWithGoal("gateway CPU of the rest, a million", "s", rest, ingestGoal(i.batch, i.traffic))
	if bare.events > 0 {
		o.add("bare fasthttp client CPU, a million", "s", bare.perMillion())
		o.add("gateway CPU, of a bare client's", "", gateway/bare.perMillion())
		o.addWithGoal("gateway CPU of the rest, of a bare client's", "", rest/bare.perMillion(), 1.3)
		o.add("bare fasthttp client, events", "1/s", float64(bare.events)/bare.elapsed.Seconds())
		o.add("bytes of a POST, of a bare client's", "", each(seen.bytes, seen.posts)/each(bare.bytes, bare.posts))
	}
	o.add("events in a POST", "", each(seen.events, seen.posts))
	o.add("gateway busy, of one processor", "%", 100*used[0].cpu.Seconds()/r.Elapsed.Seconds())
	o.add("gateway sleeps, a thousand", "", float64(used[0].switches)/float64(r.Messages)*1e3)
	o.add("app CPU, a million (not the gateway's)", "s", used[1].perMillion(r.Messages))
	o.addTraffic(r, s.Busy)
	return o
}

func each(of, n uint64) float64 { return float64(of) / float64(max(n, 1)) }

// ingestGoal is section 4's for batches of 100; one POST each has a ratio for
// its goal.
func ingestGoal(batch int, t Traffic) float64 {
	if batch != 100 || t.Size != 64 || t.Rate != 0 {
		return 0
	}
	return 2
}

// bare measures the bare client.
func (i ingest) bare(ctx context.Context, s stage) (forwarding, error) {
	s.show("a bare client")
	app, control, err := s.Servers.startCounter(ctx, i.traffic.Size)
	if err != nil {
		return forwarding{}, err
	}
	defer app.Stop(stopGrace)
	poster, err := start(ctx, child.Spec{Name: "bare client", Path: s.Servers.Self, Ready: addressAlone, Args: []string{
		"poster", "--target", app.Addr().String(), "--size", strconv.Itoa(i.traffic.Size),
		"--conns", strconv.Itoa(i.conns), "--concurrency", strconv.Itoa(i.concurrency),
	}})
	if err != nil {
		return forwarding{}, err
	}
	defer poster.Stop(stopGrace)
	watched := []*child.Process{poster, app}
	if err := pause(ctx, i.traffic.Warmup, watched); err != nil {
		return forwarding{}, err
	}
	before, used, err := i.look(control, poster)
	if err != nil {
		return forwarding{}, err
	}
	began := time.Now()
	if err := pause(ctx, i.traffic.Duration, watched); err != nil {
		return forwarding{}, err
	}
	elapsed := time.Since(began)
	after, usedAfter, err := i.look(control, poster)
	if err != nil {
		return forwarding{}, err
	}
	f := forwarding{
		events: after.Message - before.Message, posts: after.Requests - before.Requests, bytes: after.Bytes - before.Bytes,
		cpu: usedAfter - used, elapsed: elapsed,
	}
	if f.events == 0 {
		return f, fmt.Errorf("no event reached the app in %v", elapsed)
	}
	return f, nil
}

// look is what the app has seen, and the poster has used, at about one time.
func (i ingest) look(control sink.Control, poster *child.Process) (sink.Stats, time.Duration, error) {
	used, err := costs([]*child.Process{poster})
	if err != nil {
		return sink.Stats{}, 0, err
	}
	seen, err := control.Stats()
	if err == nil && seen.Failed > 0 {
		err = fmt.Errorf("the app saw %d wrong events, the first: %s", seen.Failed, seen.Failure)
	}
	return seen, used[0].cpu, err
}

// check judges what the app has seen of conns connections, all open.
func check(seen sink.Stats, conns int) error {
	if seen.Failed > 0 || seen.Close > 0 || seen.Open > uint64(conns) {
		return fmt.Errorf("the app saw %d open and %d close events of %d connections, and %d wrong ones, the first: %s",
			seen.Open, seen.Close, conns, seen.Failed, seen.Failure)
	}
	return nil
}

// told waits until the app has been told of all connections, so that no open
// event falls into the window.
func (i ingest) told(ctx context.Context, s stage, control sink.Control, watched ...*child.Process) (sink.Stats, error) {
	s.show("waiting for open events")
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		seen, err := control.Stats()
		if err == nil {
			err = check(seen, i.conns)
		}
		if err != nil || seen.Open == uint64(i.conns) {
			return seen, err
		}
		if err := pause(ctx, 5*time.Millisecond, watched); err != nil {
			return seen, fmt.Errorf("the app was told of %d of %d connections: %w", seen.Open, i.conns, err)
		}
	}
}

// startCounter runs an app that takes events with messages of size bytes.
func (s Servers) startCounter(ctx context.Context, size int) (*child.Process, sink.Control, error) {
	p, err := start(ctx, child.Spec{Name: "counter", Path: s.Self, Args: []string{"counter", "--size", strconv.Itoa(size)}, Ready: addressAlone})
	if err != nil {
		return nil, sink.Control{}, err
	}
	return p, sink.At(p.Addr()), nil
}
