package main

import (
	"bytes"
	"sync"

	"github.com/gobwas/ws"

	"ws-gateway/bench/load"
	"ws-gateway/netpoll"
)

// broadcaster is an echo that sends messages which begin with broadcastPrefix to
// all connections, as the hub does it: the frame is built once, each loop writes it
// to its own connections in slices.
type broadcaster struct {
	echo
	frames chan *netpoll.Frame
}

var broadcastPrefix = []byte(load.BroadcastPrefix)

const (
	broadcastQueue = 16  // broadcasts that wait; whoever asks for one more is closed
	broadcastSlice = 256 // sends before other events have their turn
)

func newBroadcaster() *broadcaster {
	return &broadcaster{frames: make(chan *netpoll.Frame, broadcastQueue)}
}

func (b *broadcaster) Message(c *netpoll.Conn, op ws.OpCode, payload []byte) {
	if !bytes.HasPrefix(payload, broadcastPrefix) {
		b.echo.Message(c, op, payload)
		return
	}
	select {
	case b.frames <- netpoll.NewFrame(op, payload):
	default:
		c.Close(netpoll.OverCapacity, 1013 /* Try Again Later */, "too many broadcasts at once")
	}
}

// run compresses broadcasts for those who agreed on that, and gives them to the loops,
// until the function that it returns is called; the loops must be running until then or
// have ended.
func (b *broadcaster) run(server *netpoll.Server) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case f := <-b.frames:
				server.Prepare(f)
				for _, l := range server.Loops() {
					_ = l.Post(sendAll(f)) // fails only when the loop has ended
				}
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// sendAll is a loop's share of a broadcast.
func sendAll(f *netpoll.Frame) func(*netpoll.Loop) (more bool) {
	next := uint32(0)
	return func(l *netpoll.Loop) bool {
		end := min(next+broadcastSlice, l.Slots())
		for ; next < end; next++ {
			if c := l.At(next); c != nil {
				c.Send(f) // false means that the connection is closed already
			}
		}
		return next < l.Slots()
	}
}
