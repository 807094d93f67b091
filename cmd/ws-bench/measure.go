package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
	"ws-gateway/bench/scenario"
)

// serverOptions are what all scenarios share.
type serverOptions struct {
	scenario.Options
	JSON       string   `name:"json" placeholder:"FILE" help:"Write JSON lines to this file; - is standard output, and the table then goes to standard error."`
	Gateway    string   `placeholder:"PATH" type:"existingfile" help:"Gateway binary. Default: build it from the module in the working directory."`
	Profile    string   `placeholder:"DIR" type:"existingdir" help:"Write a profile of the gateway's processor use in each round to this folder, for go tool pprof. It costs a few per cent."`
	GatewayArg []string `sep:"none" placeholder:"ARG" help:"Further argument for the gateway. Repeatable."`
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
	env := &scenario.Env{Options: o.Options, Self: self, Gateway: o.Gateway, GatewayArgs: o.gatewayArgs(), Progress: out.progress}
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
	json     io.Writer // nil: nowhere
	file     *os.File  // nil unless json is a file of ours
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
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

func (o *output) record(record any) error {
	if o.json == nil {
		return nil
	}
	return report.WriteJSON(o.json, record)
}
