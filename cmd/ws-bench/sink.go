package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"ws-gateway/bench/sink"
)

// sinkCommand serves bench/sink's App.
type sinkCommand struct {
	Listen string        `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address to serve at; port 0 takes a free one. The bound address is printed on a line of its own."`
	Mute   string        `placeholder:"PREFIX" help:"Do not answer users whose names begin with this."`
	Hang   time.Duration `placeholder:"DUR" help:"Take so long for each of their messages."`
	Reply  bool          `help:"Answer in the callback's answer, not through the send API; the gateway needs --callback-reply."`
	Audit  bool          `help:"Hold each connection's events against the contract: one open, messages in order, one close."`
}

// Run serves until ctx is done.
func (c *sinkCommand) Run(ctx context.Context, io *streams) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	app, ended := sink.New(sink.Config{Mute: c.Mute, Hang: c.Hang, Audit: c.Audit, Reply: c.Reply}), make(chan error, 1)
	go func() { ended <- app.Serve(l) }()
	fmt.Fprintln(io.out, l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err := app.Shutdown()
		<-ended
		return err
	}
}
