package scenario

import (
	"context"
	"encoding/json"
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/sink"
)

// Servers starts what is measured, and what it needs, as processes.
type Servers struct {
	Self        string   // ws-bench itself, which is the echo server and the sink too
	Gateway     string   // the gateway's binary
	GatewayArgs []string // further arguments for it
	GatewayEnv  []string // further environment for it
	Loops       int      // event loops of the server; 0: the gateway's own default, EchoLoops for the echo server
}

const (
	startTimeout = 20 * time.Second
	stopGrace    = 3 * time.Second
)

func start(ctx context.Context, s child.Spec) (*child.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return child.Start(ctx, s)
}

// EchoLoops is how many event loops the echo server has when asked for loops: 0
// means one for each processor that the load client's threads leave.
func EchoLoops(loops, threads int) int {
	if loops > 0 {
		return loops
	}
	return max(1, runtime.NumCPU()-threads)
}

// startEcho runs the echo server on netpoll alone.
func (s Servers) startEcho(ctx context.Context, loops int) (*child.Process, error) {
	args := []string{"echo-server", "--listen", "127.0.0.1:0", "--loops", strconv.Itoa(loops)}
	return start(ctx, child.Spec{Name: "echo server", Path: s.Self, Args: args, Ready: addressAlone})
}

// patient lets the gateway live with load clients, which send no pings.
var patient = []string{"--ping-timeout", "1h"}

// startGateway runs the gateway with the given callback URL, or push-only, and
// with further arguments.
func (s Servers) startGateway(ctx context.Context, callback string, further []string) (*child.Process, error) {
	args := append([]string{"--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info"}, further...)
	if callback == "" {
		args = append(args, "--no-callback")
	} else {
		args = append(args, "--callback-url", callback)
	}
	if s.Loops > 0 {
		args = append(args, "--loops", strconv.Itoa(s.Loops))
	}
	args = append(args, s.GatewayArgs...)
	return start(ctx, child.Spec{Name: "gateway", Path: s.Gateway, Args: args, Env: s.GatewayEnv, Ready: readyLine})
}

// startSink runs the app with further arguments.
func (s Servers) startSink(ctx context.Context, further []string) (*child.Process, sink.Control, error) {
	p, err := start(ctx, child.Spec{Name: "sink", Path: s.Self, Args: append([]string{"sink"}, further...), Ready: addressAlone})
	if err != nil {
		return nil, sink.Control{}, err
	}
	return p, sink.At(p.Addr()), nil
}

// startAround runs the sink, and the gateway that calls it and that it calls,
// each with further arguments.
func (s Servers) startAround(ctx context.Context, forSink, forGateway []string) (gateway, app *child.Process, control sink.Control, err error) {
	app, control, err = s.startSink(ctx, forSink)
	if err != nil {
		return nil, nil, control, err
	}
	gateway, err = s.startGateway(ctx, control.CallbackURL(), forGateway)
	if err == nil {
		if err = control.SetGateway(gateway.Addr()); err == nil {
			return gateway, app, control, nil
		}
		gateway.Stop(stopGrace)
	}
	app.Stop(stopGrace)
	return nil, nil, control, err
}

// addressAlone recognises a line that is nothing but an address.
func addressAlone(line string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(line)
	return addr, err == nil
}

// readyLine recognises the gateway's log line that says where it listens.
func readyLine(line string) (netip.AddrPort, bool) {
	var entry struct{ Message, Listen string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Message != "ready" {
		return netip.AddrPort{}, false
	}
	return addressAlone(entry.Listen)
}
