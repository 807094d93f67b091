package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

// runOptions are what scenarios of rounds share.
type runOptions struct {
	Rounds int `default:"5" placeholder:"N" help:"Rounds, each with servers started afresh. The table has medians, smallest and largest."`
	serverOptions
}

// serverOptions are what all scenarios share.
type serverOptions struct {
	JSON       string   `name:"json" placeholder:"FILE" help:"Write JSON lines to this file; - is standard output, and the table then goes to standard error."`
	HTML       string   `name:"html" placeholder:"FILE" help:"Write the report with its charts to this file: one page that needs no network."`
	Threads    int      `default:"1" placeholder:"N" help:"Threads of the load client."`
	Busy       bool     `help:"The load client spins instead of sleeping, so that the server never pays for waking it."`
	Loops      int      `default:"0" placeholder:"N" help:"Event loops of the server. 0: the gateway's default; for the echo server, what the load threads leave of the processors."`
	Gateway    string   `placeholder:"PATH" type:"existingfile" help:"Gateway binary. Default: build it from the module in the working directory."`
	Profile    string   `placeholder:"DIR" type:"existingdir" help:"Write a profile of the gateway's processor use in each round to this folder, for go tool pprof. It costs a few per cent."`
	GatewayArg []string `sep:"none" placeholder:"ARG" help:"Further argument for the gateway. Repeatable."`
}

// trafficOptions are what scenarios with messages share.
type trafficOptions struct {
	Size     int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Active   int           `default:"0" placeholder:"N" help:"Connections that send; the others are idle. 0: all."`
	Rate     float64       `default:"0" placeholder:"N" help:"Messages a second, sent when they are due and not when the last reply came (open loop). 0: closed loop."`
	Warmup   time.Duration `default:"500ms" placeholder:"DUR" help:"Time before the part of a round that is measured."`
	Duration time.Duration `default:"3s" placeholder:"DUR" help:"Time that is measured in a round."`
}

func (o trafficOptions) traffic() (scenario.Traffic, error) {
	if o.Active < 0 || o.Rate < 0 || o.Warmup < 0 || o.Duration <= 0 {
		return scenario.Traffic{}, fmt.Errorf("--active, --rate and --warmup must not be below 0, --duration above it")
	}
	return scenario.Traffic{Size: o.Size, Active: o.Active, Rate: o.Rate, Warmup: o.Warmup, Duration: o.Duration}, nil
}

type idleCommand struct {
	runOptions
	Conns  []int         `default:"15000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Server []string      `default:"gateway" enum:"gateway,gateway+callback,gateway+journal,netpoll" help:"Who holds them: gateway (push-only), gateway+callback (it tells an app of each), gateway+journal (the same with --journal), netpoll (the echo server); several are several cases."`
	Cookie []int         `default:"0,200" placeholder:"BYTES" help:"Size of a connection's cookie, 0 for none; several numbers are several cases."`
	Settle time.Duration `default:"4s" placeholder:"DUR" help:"Time between the last handshake and reading the figures; the gateway gives memory back in the first seconds of silence."`
}

// Run measures idle.
func (c *idleCommand) Run(ctx context.Context, io *streams) error {
	var cases []scenario.Case
	gateway := false
	for _, server := range c.Server {
		gateway = gateway || scenario.IdleServer(server) != scenario.IdleNetpoll
		for _, conns := range c.Conns {
			for _, cookie := range c.Cookie {
				cases = append(cases, scenario.Idle(scenario.IdleServer(server), conns, cookie, c.Settle))
			}
		}
	}
	return c.measure(ctx, io, c.Conns, gateway, cases)
}

type echoCommand struct {
	runOptions
	trafficOptions
	Conns  []int  `default:"1000,10000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Opcode string `default:"binary" enum:"binary,text" help:"Kind of message: binary or text."`
}

// Run measures echo.
func (c *echoCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := c.traffic()
	if err != nil {
		return err
	}
	op := byte(load.Binary)
	if c.Opcode == "text" {
		op = load.Text
	}
	var cases []scenario.Case
	for _, conns := range c.Conns {
		one, err := scenario.Echo(conns, op, scenario.EchoLoops(c.Loops, c.Threads), traffic)
		if err != nil {
			return err
		}
		cases = append(cases, one)
	}
	return c.measure(ctx, io, c.Conns, false, cases)
}

type roundTripCommand struct {
	runOptions
	trafficOptions
	Conns []int    `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Reply []string `default:"send" enum:"send,answer" placeholder:"HOW" help:"How the app replies: send (through the send API), answer (in the callback's answer, --callback-reply); several are several cases."`
}

// Run measures roundtrip.
func (c *roundTripCommand) Run(ctx context.Context, io *streams) error {
	traffic, err := c.traffic()
	if err != nil {
		return err
	}
	var cases []scenario.Case
	for _, conns := range c.Conns {
		for _, reply := range c.Reply {
			one, err := scenario.RoundTrip(conns, reply == "answer", traffic)
			if err != nil {
				return err
			}
			cases = append(cases, one)
		}
	}
	return c.measure(ctx, io, c.Conns, true, cases)
}

// measure runs cases and writes what comes out. gateway says whether they need one.
func (o runOptions) measure(ctx context.Context, std *streams, conns []int, gateway bool, cases []scenario.Case) error {
	if err := o.check(conns); err != nil {
		return err
	}
	return o.with(ctx, std, gateway, func(about report.Run, env *scenario.Env, out *output) error {
		about.Rounds = o.Rounds
		return out.rounds(ctx, about, env, cases)
	})
}

func (o runOptions) check(conns []int) error {
	if o.Rounds < 1 {
		return fmt.Errorf("--rounds must be at least 1")
	}
	if slices.Min(conns) < 2 || slices.Max(conns) > scenario.MostConnections {
		return fmt.Errorf("--conns must be 2 to %d", scenario.MostConnections)
	}
	return nil
}

// with prepares what a run needs, and cleans up behind it. gateway says whether
// it needs one.
func (o serverOptions) with(ctx context.Context, std *streams, gateway bool, run func(report.Run, *scenario.Env, *output) error) (err error) {
	if o.Threads < 1 {
		return fmt.Errorf("--threads must be at least 1")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	out, err := o.open(std)
	if err != nil {
		return err
	}
	defer func() {
		if closing := out.close(); err == nil {
			err = closing
		}
	}()
	subject := self
	if gateway {
		binary, remove, err := o.gateway(ctx, out.progress)
		if err != nil {
			return err
		}
		defer remove()
		o.Gateway, subject = binary, binary
	}
	env := &scenario.Env{
		Servers:  scenario.Servers{Self: self, Gateway: o.Gateway, GatewayArgs: o.gatewayArgs(), Loops: o.Loops},
		Threads:  o.Threads,
		Busy:     o.Busy,
		Progress: out.progress,
	}
	if gateway {
		env.Profiles = o.Profile // the echo server has none
	}
	commit, dirty := commitOf(subject)
	about := report.Run{
		Record: "run", Started: time.Now().UTC(), Args: os.Args[1:], Commit: commit, Dirty: dirty,
		Machine: proc.ThisMachine(), Rounds: 1,
	}
	return run(about, env, out)
}

func (o serverOptions) gatewayArgs() []string {
	if o.Profile == "" {
		return o.GatewayArg
	}
	return append([]string{"--pprof"}, o.GatewayArg...)
}

// output is where figures go.
type output struct {
	table    io.Writer
	json     io.Writer    // nil: nowhere
	file     *os.File     // nil unless json is a file of ours
	page     *os.File     // where the report with charts goes; nil: nowhere
	kept     bytes.Buffer // the records for it
	progress report.Progress
}

func (o serverOptions) open(std *streams) (*output, error) {
	out := &output{table: std.out}
	switch o.JSON {
	case "":
	case "-":
		out.table, out.json = std.err, std.out
	default:
		f, err := os.Create(o.JSON)
		if err != nil {
			return nil, fmt.Errorf("writing JSON: %w", err)
		}
		out.json, out.file = f, f
	}
	if o.HTML != "" {
		f, err := os.Create(o.HTML)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("writing the report: %w", err), out.close())
		}
		out.page = f
	}
	if f, ok := std.err.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		columns := 80
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			columns = int(size.Col)
		}
		out.progress = report.NewProgress(f, columns)
	}
	return out, nil
}

func (o *output) close() error {
	o.progress.Clear()
	var err error
	if o.file != nil {
		err = o.file.Close()
	}
	if o.page == nil {
		return err
	}
	return errors.Join(err, o.writePage(), o.page.Close())
}

// writePage makes the report of what was recorded, if anything was.
func (o *output) writePage() error {
	if o.kept.Len() == 0 {
		return nil
	}
	recordings, err := report.Read(&o.kept, "this run")
	if err != nil {
		return err
	}
	return report.WriteHTML(o.page, recordings)
}

func (o *output) record(record any) error {
	if o.page != nil {
		if err := report.WriteJSON(&o.kept, record); err != nil {
			return err
		}
	}
	if o.json == nil {
		return nil
	}
	return report.WriteJSON(o.json, record)
}

// rounds measures, writing each round as it comes and the summaries of what
// there is at the end, also when a round failed.
func (o *output) rounds(ctx context.Context, about report.Run, env *scenario.Env, cases []scenario.Case) error {
	if err := o.record(about); err != nil {
		return err
	}
	rounds := make(map[string][]report.Round, len(cases))
	failed := scenario.Run(ctx, env, cases, about.Rounds, func(r report.Round) error {
		rounds[r.Case] = append(rounds[r.Case], r)
		return o.record(r)
	})
	o.progress.Clear()
	if err := report.WriteHead(o.table, about); err != nil {
		return err
	}
	var all []report.Round
	for _, c := range cases {
		if len(rounds[c.Name]) == 0 {
			continue
		}
		all = append(all, rounds[c.Name]...)
		s := report.Summarise(rounds[c.Name])
		if err := errors.Join(report.WriteTable(o.table, s), report.WriteBroken(o.table, rounds[c.Name])); err != nil {
			return err
		}
		if err := o.record(s); err != nil {
			return err
		}
	}
	return errors.Join(failed, verdict(all))
}
