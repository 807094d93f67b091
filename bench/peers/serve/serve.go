// Package serve is what the Go peers have in common besides WebSocket: options,
// the listener, and who is connected.
package serve

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
)

// Options are what every peer is told.
type Options struct {
	Listen    string
	Procs     int  // processors, and event loops
	Broadcast bool // messages that begin with BroadcastPrefix go to all

	// Compression is permessage-deflate without context takeover, for clients that offer
	// it.
	Compression bool
}

// BroadcastPrefix begins a message that goes to all connections, the sender's
// included, instead of back.
const BroadcastPrefix = "broadcast "

// Parse reads the command line and sets GOMAXPROCS.
func Parse() Options {
	var o Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address to serve at; port 0 takes a free one")
	flag.IntVar(&o.Procs, "procs", runtime.NumCPU(), "processors to use, and event loops")
	flag.BoolVar(&o.Broadcast, "broadcast", false, `a message that begins with "broadcast " goes to all connections`)
	flag.BoolVar(&o.Compression, "compression", false, "agree on permessage-deflate without context takeover")
	flag.Parse()
	if o.Procs < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "--procs must be at least 1, and there are no further arguments")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(o.Procs)
	return o
}

// IsBroadcast tells whether a message goes to all.
func (o Options) IsBroadcast(payload []byte) bool {
	return o.Broadcast && bytes.HasPrefix(payload, []byte(BroadcastPrefix))
}

// Listener opens the listener. Connections get no keep-alive probes, which would
// cost four system calls for each.
func (o Options) Listener() (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	return config.Listen(context.Background(), "tcp", o.Listen)
}

// Ready says where the peer serves.
func Ready(addr net.Addr) { fmt.Println(addr) }

// HTTP serves upgrades with net/http until that fails.
func (o Options) HTTP(upgrade http.HandlerFunc) error {
	l, err := o.Listener()
	if err != nil {
		return err
	}
	Ready(l.Addr())
	return http.Serve(l, upgrade)
}

// Exit ends the program with what went wrong.
func Exit(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
