// Command easygo is an echo server on gobwas/ws with the Poller of mailru/easygo, as
// its authors described it in "A Million WebSockets and Go": no goroutine and no
// buffer for an idle connection, a descriptor watched one-shot for each, and a pool
// of goroutines that read and answer.
//
// The Poller duplicates every connection's descriptor: half as many connections fit
// under a limit.
package main

import (
	"bytes"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/mailru/easygo/netpoll"

	"ws-gateway/bench/peers/frames"
	"ws-gateway/bench/peers/serve"
)

// workers in the pool, and tasks that wait for one before the poller does.
const workers, queue = 128, 1024

type server struct {
	options serve.Options
	members *serve.Members[*conn]
	poller  netpoll.Poller
	tasks   chan func()
	scratch sync.Pool
}

type conn struct {
	net.Conn
	desc *netpoll.Desc
	read func() // what a worker does when there is something to read
	held []byte // the beginning of a frame that is not complete
}

// scratch is what reading and answering takes.
type scratch struct {
	reader  bytes.Reader
	in, out []byte
}

func main() {
	o := serve.Parse()
	p, err := netpoll.New(nil)
	if err != nil {
		serve.Exit(err)
	}
	s := &server{
		options: o,
		members: serve.NewMembers[*conn](o),
		poller:  p,
		tasks:   make(chan func(), queue),
		scratch: sync.Pool{New: func() any { return &scratch{in: make([]byte, 4<<10)} }},
	}
	for range workers {
		go func() {
			for task := range s.tasks {
				task()
			}
		}()
	}
	l, err := o.Listener()
	if err != nil {
		serve.Exit(err)
	}
	serve.Ready(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			serve.Exit(err)
		}
		s.tasks <- func() { s.open(c) }
	}
}

func (s *server) open(c net.Conn) {
	if _, err := ws.Upgrade(c); err != nil {
		c.Close() // the client has its answer
		return
	}
	desc, err := netpoll.HandleReadOnce(c)
	if err != nil {
		c.Close()
		return
	}
	o := &conn{Conn: c, desc: desc}
	o.read = func() { s.readable(o) }
	s.members.Add(o)
	if err := s.poller.Start(desc, func(netpoll.Event) { s.tasks <- o.read }); err != nil {
		s.end(o)
	}
}

func (s *server) end(c *conn) {
	s.members.Remove(c)
	_ = s.poller.Stop(c.desc) // fails only where it was never started
	c.desc.Close()
	c.Close()
}

func (s *server) readable(c *conn) {
	if !s.answer(c) || s.poller.Resume(c.desc) != nil {
		s.end(c)
	}
}

// answer reads once and answers the frames that are complete. It returns false
// where the connection ends.
func (s *server) answer(c *conn) bool {
	t := s.scratch.Get().(*scratch)
	defer s.scratch.Put(t)
	n, err := c.Read(t.in)
	if err != nil {
		return false
	}
	data := t.in[:n]
	if len(c.held) > 0 {
		c.held = append(c.held, data...)
		data = c.held
	}
	t.out = t.out[:0]
	end := false
	for !end {
		h, payload, n, err := frames.Next(&t.reader, data)
		if err != nil {
			return false
		}
		if n == 0 {
			break
		}
		data = data[n:]
		if s.options.IsBroadcast(payload) {
			frame := frames.Append(nil, true, h.OpCode, payload)
			s.members.Each(func(c *conn) { _, _ = c.Write(frame) }) // a broken connection ends when it is read
			continue
		}
		t.out, end = frames.Reply(t.out, h, payload)
	}
	if len(t.out) > 0 {
		if _, err := c.Write(t.out); err != nil {
			return false
		}
	}
	if len(data) == 0 {
		c.held = nil
	} else {
		c.held = append([]byte(nil), data...)
	}
	return !end
}
