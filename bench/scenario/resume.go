package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

// Resume measures sessions that can be resumed: what an idle one takes beside a plain
// connection, what acknowledgements cost where messages are echoed, and how long it takes
// until all are back whose connections were cut at once, and what others notice.
type Resume struct {
	Only     string        `default:"all" enum:"all,idle,echo,cut,restart" placeholder:"WHAT" help:"idle, echo, cut, restart or all."`
	Conns    int           `default:"15000" placeholder:"N" help:"Connections that are idle, and that are cut."`
	Sessions int           `default:"10000" placeholder:"N" help:"Sessions that outlive a restart."`
	Echo     int           `default:"1000" placeholder:"N" help:"Connections that send, of each kind."`
	Turns    int           `default:"12" placeholder:"N" help:"Turns of each kind of connection in a round, one after the other."`
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Settle   time.Duration `default:"4s" placeholder:"DUR" help:"Time between the last handshake and reading what idle connections take."`
	Window
}

const (
	resumeKept  = 5 * time.Minute  // --resume-for
	cutPatience = 90 * time.Second // for all to be back
)

// Cases are one for each part.
func (r Resume) Cases(o Options) (cases []Case, err error) {
	t := Traffic{Size: r.Size, Window: r.Window}
	m, err := load.Event(r.Size)
	if err := firstOf(t.possible(), possible("--conns", r.Conns), possible("--echo", 3*r.Echo), err); err != nil {
		return nil, err
	}
	if err := possible("--sessions", r.Sessions); err != nil {
		return nil, err
	}
	if r.Turns < 1 || r.Conns+probes > MostConnections {
		return nil, fmt.Errorf("--turns must be at least 1, --conns at most %d", MostConnections-probes)
	}
	if o.Threads != 1 {
		return nil, errOneThread
	}
	add := func(what, name string, round func(*stage)) {
		if r.Only == "all" || r.Only == what {
			cases = append(cases, Case{Scenario: "resume", Name: name, Gateway: true, round: round})
		}
	}
	add("idle", fmt.Sprintf("%s idle connections, plain and resumable", count(r.Conns)), r.idle)
	echo := fmt.Sprintf("%s connections, %d B, closed loop, plain and resumable", count(r.Echo), r.Size)
	add("echo", echo+", the app echoes with a send", func(s *stage) { r.echo(s, t, m, bySend) })
	add("echo", echo+", the app echoes in its answer", func(s *stage) { r.echo(s, t, m, byAnswer) })
	add("echo", echo+", the gateway answers pings", func(s *stage) { r.echo(s, t, load.Ping(), byGateway) })
	add("cut", fmt.Sprintf("%s connections cut at once", count(r.Conns)), r.cut)
	add("restart", fmt.Sprintf("a restart with %s sessions in --resume-state", count(r.Sessions)), r.restart)
	return cases, nil
}

// restart stops a gateway that has sessions and starts the next one, which takes them in, and
// one that has nothing to take in.
func (r Resume) restart(s *stage) {
	dir := must(os.MkdirTemp("", "ws-bench-resume-"))
	s.cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "sessions")
	begin := func(args ...string) (server *child.Process, took time.Duration) {
		began := time.Now()
		return s.gateway("", args...), time.Since(began)
	}
	first, _ := begin(resuming("--resume-state", file)...)
	herd := must(load.NewHerd(load.HerdConfig{
		Target: first.Addr(), Conns: r.Sessions, First: herdNumbering, Header: named("herd-", 0), Window: gatherWindow, Resume: true,
	}))
	s.cleanup(herd.Close)
	ctx, cancel := context.WithTimeout(s.ctx, cutPatience)
	defer cancel()
	s.show("connecting")
	must(herd.Gather(ctx, 0))
	s.show("restarting")
	began := time.Now()
	first.Stop(restTimeout)
	stopped := time.Since(began)
	written := must(os.Stat(file)).Size()
	next, took := begin(resuming("--resume-state", file)...)
	if n := scraped(next)["connections_away"]; n != float64(r.Sessions) {
		s.broken.say("%v of %d sessions were taken in", n, r.Sessions)
	}
	_, plain := begin(resuming()...)
	s.add("start with sessions", "s", took.Seconds())
	s.add("plain start", "s", plain.Seconds())
	s.add("start with sessions, more than a plain one", "s", (took - plain).Seconds())
	s.add("stop with sessions", "s", stopped.Seconds())
	s.add("file, each session", "B", float64(written)/float64(r.Sessions))
}

func resuming(further ...string) []string {
	return append(append(further, "--resume-for", resumeKept.String()), patient...)
}

// idle holds connections of both kinds, one after the other.
func (r Resume) idle(s *stage) {
	each := func(resume bool) (bytes float64) {
		s.part(func() {
			server := s.gateway("", resuming()...)
			c := s.connect(load.Config{Target: server.Addr(), Header: identity(0), Resume: resume}, min(first, r.Conns/2))
			base := c.Open()
			s.pause(r.Settle/4, server)
			before := look(server)
			s.grow(c, r.Conns)
			s.pause(r.Settle, server)
			after := look(server)
			within("holding", func() { check(c.Check(s.ctx)) })
			bytes = (float64(after.Memory.Resident) - float64(before.Memory.Resident)) / float64(r.Conns-base)
		})
		return bytes
	}
	plain, resumable := each(false), each(true)
	s.add("resident, each, plain", "B", plain)
	s.add("resident, each, resumable", "B", resumable)
	s.add("resumable, more than plain", "B", resumable-plain)
}

// echoes is whence a message comes back.
type echoes int

const (
	bySend echoes = iota
	byAnswer
	byGateway
)

// echo has connections of three kinds send in turns: to a gateway without sessions, to one
// that has them without asking, and to the same with asking.
func (r Resume) echo(s *stage, t Traffic, m *load.Message, how echoes) {
	type kind struct {
		name   string
		client *load.Client
		server *child.Process
		cost
		messages uint64
	}
	begin := func(args ...string) *child.Process {
		var gateway *child.Process
		switch how {
		case bySend:
			gateway, _ = s.around(nil, args)
		case byAnswer:
			gateway, _ = s.around([]string{"--reply"}, append(args, "--callback-reply"))
		case byGateway:
			gateway = s.gateway("", args...)
		}
		return gateway
	}
	off, on := begin(patient...), begin(resuming()...)
	kinds := []*kind{{name: "option off", server: off}, {name: "option on, plain", server: on}, {name: "resumable", server: on}}
	for i, k := range kinds {
		header := named(fmt.Sprintf("kind-%d-", i), firstUser)
		k.client = s.connect(load.Config{Target: k.server.Addr(), Header: header, Resume: i == 2}, r.Echo)
	}
	s.pause(t.Warmup, off, on)
	t.Duration /= time.Duration(r.Turns)
	t.Warmup /= time.Duration(r.Turns)
	for turn := range r.Turns {
		for i := range kinds {
			k := kinds[(turn+i)%len(kinds)] // each kind is the first, the second and the third
			result, used := s.traffic(k.client, t, m, k.server)
			k.cpu += used[0].cpu
			k.messages += result.Messages
		}
	}
	for _, k := range kinds {
		if k.messages == 0 {
			check(errors.New("no message was answered"))
		}
		s.add("gateway CPU, a million, "+k.name, "s", k.perMillion(k.messages))
	}
	against := func(one, other *kind) float64 { return one.perMillion(one.messages) / other.perMillion(other.messages) }
	s.add("option on, plain, against option off", "×", against(kinds[1], kinds[0]))
	s.add("resumable, against plain in the same gateway", "×", against(kinds[2], kinds[1]))
	kept := scraped(on)["memory_used_bytes{resume}"]
	if most := float64(r.Echo * 32 * (r.Size + 200)); kept > most || kept == 0 {
		s.broken.say("%v bytes wait for acknowledgements, and of %d clients that acknowledge after 32 messages it can be %v", kept, r.Echo, most)
	}
	s.note("a client acknowledges after 32 messages, which the gateway answers")
}

// cut has all connections cut at once, while a few others ping: those of clients that do not
// resume, and then, at a gateway of their own, of clients that do.
func (r Resume) cut(s *stage) {
	var plain, resumable delays
	s.part(func() { _, plain, _ = r.cutAll(s, false) })
	s.part(func() {
		var took cutTimes
		var calm delays
		calm, resumable, took = r.cutAll(s, true)
		s.add("until all are away", "s", took.away.Seconds())
		s.add("until all are back and have what they missed", "s", took.back.Seconds())
		s.add("from the cut on", "s", took.all.Seconds())
		for _, seen := range []struct {
			name string
			load.Result
		}{{"calm: others' pong", calm.pong}, {"calm: idle server's echo", calm.idle}, {"plain cut: others' pong", plain.pong},
			{"cut: others' pong", resumable.pong}, {"cut: idle server's echo", resumable.idle}} {
			s.percentiles(seen.name, seen.Percentile, 50, 99, 100)
			s.curves = append(s.curves, report.Curve{Name: seen.name, Unit: "ms", Axis: report.Percentile, Points: seen.Curve()})
		}
	})
	s.add("others' p99, against the idle server's", "×", resumable.pong.Percentile(99)/resumable.idle.Percentile(99))
	s.add("others' p99, against that while plain ones come back", "×", resumable.pong.Percentile(99)/plain.pong.Percentile(99))
	s.note("the herd uses the same processors as the gateway: times are the machine's")
}

// cutTimes is how long it took until all were away; then, until all were back and had what
// they had missed; and both together.
type cutTimes struct{ away, back, all time.Duration }

// cutAll cuts a herd. Everybody is sent a message in one call: those who resume while they
// are away, the others when all are back.
func (r Resume) cutAll(s *stage, resume bool) (calm, during delays, took cutTimes) {
	server := s.gateway("", resuming()...)
	w := s.watchers(server)
	herd := must(load.NewHerd(load.HerdConfig{
		Target: server.Addr(), Conns: r.Conns, First: herdNumbering, Header: named("herd-", 0), Window: gatherWindow, Resume: resume,
	}))
	s.cleanup(herd.Close)
	ctx, cancel := context.WithTimeout(s.ctx, 2*cutPatience)
	defer cancel()
	s.show("connecting")
	must(herd.Gather(ctx, 0))
	users := make([]string, r.Conns)
	for i := range users {
		users[i] = "herd-" + strconv.Itoa(herdNumbering+i)
	}
	send := func() {
		check(order(server.Addr(), "/tapr/ws/conn/send", must(json.Marshal(map[string]any{"users": users, "payload": 1, "report": true}))))
	}
	// gone is whether the gateway has seen that all are away.
	gone := func(m metrics) bool { return m["connections"] == probes }
	if resume {
		gone = func(m metrics) bool { return m["connections_away"] == float64(r.Conns) }
	}
	at := w.start()
	err := attempt(func() {
		s.show("calm")
		s.pause(lull/4, server)
		at.begin()
		s.pause(lull, server)
		calm = at.lap()
		s.show("cut")
		herd.SetWindow(0)
		began := time.Now()
		herd.Reset()
		until(s, cutPatience, 10*time.Millisecond, func() metrics { return scraped(server) }, gone, server)
		took.away = time.Since(began)
		if resume {
			send()
		}
		came := time.Now()
		must(herd.Gather(ctx, 0))
		if !resume {
			send()
		}
		check(herd.Listen(ctx, func() bool {
			return (herd.Resumed() == r.Conns || !resume) && herd.Messages() >= uint64(r.Conns)
		}))
		took.back, took.all = time.Since(came), time.Since(began)
	})
	during = at.end()
	check(errors.Join(err, calm.err(), during.err()))
	if resume {
		s.judgeCut(scraped(server), herd.Messages(), r.Conns)
	}
	return calm, during, took
}

// judgeCut holds what the gateway counts, and what came, against what must be.
func (s *stage) judgeCut(now metrics, came uint64, conns int) {
	n := float64(conns)
	b := &s.broken
	if came != uint64(conns) {
		b.say("%d messages came to %d connections that were sent one each", came, conns)
	}
	if now["resumed_total"] != n || now["connections_away"] != 0 || now.sum("resume_missed_total") != 0 || now.sum("closed_total") != 0 {
		b.say("of %d sessions %v went on, %v are away, %v were missed, %v connections closed",
			conns, now["resumed_total"], now["connections_away"], now.sum("resume_missed_total"), now.sum("closed_total"))
	}
}
