// Command ws-bench measures the gateway, and netpoll alone, with a load client of
// its own. Each scenario prints a table and, on request, JSON lines.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"ws-gateway/bench/scenario"
)

// streams are where output goes.
type streams struct{ out, err io.Writer }

type commandLine struct {
	Idle         measured[scenario.Idle]      `cmd:"" help:"Open connections and hold them: memory and descriptors for each, handshakes."`
	Echo         measured[scenario.Echo]      `cmd:"" help:"Messages through the echo server on netpoll: rate, server CPU, latency."`
	Stuck        measured[scenario.Stuck]     `cmd:"" help:"Round trips while some callbacks hang in the app: what the others notice."`
	Roundtrip    measured[scenario.RoundTrip] `cmd:"" help:"Client → gateway → callback → app → send API → gateway → client: rate, gateway CPU, latency."`
	Ingest       measured[scenario.Ingest]    `cmd:"" help:"Client → gateway → one POST each, or batches → an app that only takes them: rate, gateway CPU, also against a bare client's."`
	Push         measured[scenario.Push]      `cmd:"" help:"Management API → gateway → one connection, one user, several users: calls a second, gateway CPU, latency."`
	Fanout       measured[scenario.Fanout]    `cmd:"" help:"One call to 10 to 15,000 connections: time to the last, gateway CPU, delay of others meanwhile."`
	Abuse        inRows[scenario.Abuse]       `cmd:"" set:"rounds=1" help:"Good clients keep a steady rate while phases of abuse go by: what they notice, what the gateway does, what it leaves behind."`
	Chaos        chaosCommand                 `cmd:"" set:"rounds=1" help:"An app that misbehaves in every way, clients that come and go: proof that no event is lost, reordered or invented."`
	ChaosCluster chaosClusterCommand          `cmd:"" set:"rounds=1" help:"Three gateways as one, with a network and a NATS server that fail in every way: proof that no message is lost without being counted, doubled or out of order."`
	Cluster      measured[scenario.Cluster]   `cmd:"" help:"Gateways that are one: sends to another gateway against sends here, in one round; what an instance of a large cluster knows and hears, simulated."`
	Resume       measured[scenario.Resume]    `cmd:"" help:"Sessions that can be resumed: memory of an idle one, an echo with acknowledgements against one without, thousands cut at once that come back, a restart with thousands."`
	Hub          measured[scenario.Hub]       `cmd:"" help:"The hub in process, with 100,000 to 10 million simulated sessions without sockets: memory, wheel, collections, sends, lists."`
	Group        measured[scenario.Group]     `cmd:"" help:"Groups: memory, joins and collections with a million simulated memberships; calls to a large group and to many small ones."`
	Report       reportCommand                `cmd:"" help:"Tables and charts of runs that were written with --json; two commits are compared."`
	Check        checkCommand                 `cmd:"" set:"rounds=3" help:"Count system calls, sleeps and allocations for each message, bytes and descriptors for each connection, and fail where a promise is broken (under a minute)."`
	Compare      comparisons                  `cmd:"" help:"Ours and its peers, in turn: ratios."`
	Storm        measured[scenario.Storm]     `cmd:"" help:"All connections drop and come back at once: time until they are back, CPU, memory, what others notice, what the app is told."`
	Soak         measured[scenario.Soak]      `cmd:"" set:"rounds=1" help:"Mixed work for long: drift of memory, descriptors and goroutines at an equal number of connections."`
	EchoServer   echoServerCommand            `cmd:"" help:"Serve an echo on netpoll alone, for conformance suites and comparisons."`
	Sink         sinkCommand                  `cmd:"" help:"Serve the app of roundtrip: answer each message callback through the send API."`
	Counter      counterCommand               `cmd:"" hidden:"" help:"Serve the app of ingest, which counts events and finds what is lost or out of order."`
	Poster       posterCommand                `cmd:"" hidden:"" help:"POST events with a bare client; ingest compares the gateway with it."`
	NATSServer   natsServerCommand            `cmd:"" name:"nats-server" hidden:"" help:"Serve NATS; scenarios of clusters run it."`
	Attacker     attackerCommand              `cmd:"" hidden:"" help:"Do one kind of harm; abuse runs these."`

	HubSimulation hubSimulationCommand `cmd:"" hidden:"" help:"Simulate one size of hub; hub runs these."`

	GroupSimulation groupSimulationCommand `cmd:"" hidden:"" help:"Simulate one size of groups; group runs these."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// exitUsage is the exit code of wrong options, EX_CONFIG of sysexits.h. Go's runtime
// exits with 2 after a panic.
const exitUsage = 78

// run does what args ask for and returns the exit code.
func run(ctx context.Context, args []string, io *streams) (code int) {
	var line commandLine
	exited := -1
	parser, err := kong.New(&line,
		kong.Name("ws-bench"),
		kong.Description("Measure the gateway. What a server costs is read from the kernel, of a process of its own; figures are medians of rounds."),
		kong.Writers(io.out, io.err),
		kong.Vars{"rounds": "5"},
		kong.ValueFormatter(withDefault),
		kong.Exit(func(c int) { exited = c }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(io),
	)
	if err != nil {
		fmt.Fprintln(io.err, "ws-bench:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(io.err, "ws-bench: %v (--help lists what there is)\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(io.err, "ws-bench:", err)
		return 1
	}
	return 0
}

// withDefault adds the default to an option's help, unless the help says what
// leaving it out means.
func withDefault(v *kong.Value) string {
	if v.Default == "" || v.Default == "0" {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}
