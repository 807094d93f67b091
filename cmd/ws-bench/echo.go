package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/gobwas/ws"
	"github.com/rs/zerolog"

	"ws-gateway/netpoll"
	"ws-gateway/netpoll/wire"
)

// echoServerCommand serves an echo on netpoll alone: no sessions, no callbacks,
// no management. Conformance suites and comparisons run against it.
type echoServerCommand struct {
	Listen         string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address to serve at; port 0 takes a free one. The bound address is printed on a line of its own."`
	Path           string `default:"/ws" placeholder:"PATH" help:"Path at which clients connect."`
	Loops          int    `default:"0" placeholder:"N" help:"Event loops. 0: one for each processor."`
	Procs          int    `default:"0" placeholder:"N" help:"Processors to use (GOMAXPROCS). 0: Go's own choice."`
	Broadcast      bool   `help:"A message that begins with 'broadcast ' goes to all connections instead of back."`
	Compression    bool   `help:"Agree on permessage-deflate (RFC 7692) with clients that offer it."`
	MaxMessageSize int64  `default:"67108864" placeholder:"BYTES" help:"Largest message; close code 1009 above it."`
}

// stopTimeout is for the connections that are open when the server is told to end.
const stopTimeout = 5 * time.Second

// Run serves until ctx is done.
func (c *echoServerCommand) Run(ctx context.Context, io *streams) error {
	if c.Procs > 0 {
		runtime.GOMAXPROCS(c.Procs)
	}
	var handler netpoll.Handler = echo{}
	var all *broadcaster
	if c.Broadcast {
		all = newBroadcaster()
		handler = all
	}
	log := zerolog.New(io.err).Level(zerolog.WarnLevel).With().Timestamp().Logger()
	server, err := netpoll.New(netpoll.Config{
		Handler: handler,
		Loops:   c.Loops, Path: c.Path,
		MaxMessageSize: c.MaxMessageSize,
		Compression:    c.Compression,
		// Room for one message that has arrived in part and one that waits to be sent.
		MaxAssemblyMemory: max(256<<20, 4*c.MaxMessageSize),
		MaxPendingBytes:   max(1<<20, 2*int(c.MaxMessageSize)),
		Log:               log,
	})
	if err != nil {
		return err
	}
	addr, err := server.Listen(c.Listen)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	if all != nil {
		defer all.run(server)()
	}
	fmt.Fprintln(io.out, addr)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return server.Stop(stop)
}

// echo answers every message with the same message.
type echo struct{}

func (echo) Upgrade(*netpoll.Conn, *wire.Request) netpoll.Verdict { return netpoll.Verdict{} }
func (echo) Frame(*netpoll.Conn, ws.OpCode)                       {}
func (echo) Resumed(*netpoll.Conn)                                {}
func (echo) Closed(*netpoll.Conn, netpoll.End)                    {}
func (echo) Tick(*netpoll.Loop, uint32) (more bool)               { return false }

func (echo) Message(c *netpoll.Conn, op ws.OpCode, payload []byte) {
	c.Reply(op, payload) // false means that the connection is closed already
}
