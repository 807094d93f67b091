package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	chunk = 32 << 10 // bytes that are read, and go in a packet, at most

	// probeAfter is after how long without a packet to the peer it gets an empty one. Its
	// number shows a packet that was lost, and its Limit stands for one that was.
	probeAfter = time.Second

	// lingerFor is how long a relay may last once there are no more bytes in one direction:
	// longer than a close handshake may take.
	lingerFor = 30 * time.Second
)

// Config of an End.
type Config struct {
	// Publish hands a frame to the bus, which keeps nothing of Data. It must not wait.
	// false: the frame is dropped.
	Publish func(*Frame) bool

	// MaxBody is how many bytes of a packet may be a Frame.
	MaxBody int

	// Held counts the bytes that Ends have got and that are not written. It is for several.
	Held *atomic.Int64
}

// Stats count what an End has sent to its peer.
type Stats struct {
	Bytes, Frames uint64
	Torn          bool // it has ended because something was lost between the instances
}

// End is one of the two ends of a relay. Make it with New or Accept. Its methods may be
// called from any goroutine.
type End struct {
	cfg      Config
	has      bool          // the session
	answered chan struct{} // closed when the peer has sent something, or the relay has ended

	mu       sync.Mutex // guards following, and keeps frames in the order of their numbers
	changed  *sync.Cond
	flow     flow
	stats    Stats
	conn     net.Conn // nil before Carry
	why      Close    // Open: the relay goes on
	heard    bool
	closing  bool // the peer has ended it: what it has sent before is still written
	written  bool // nothing more is written to conn
	lingers  *time.Timer
	probes   *time.Timer // nil: nothing was sent for a while
	silentIf uint64      // the number of our last frame when probes was set
}

func newEnd(cfg Config, has bool) *End {
	e := &End{cfg: cfg, has: has, answered: make(chan struct{})}
	e.changed = sync.NewCond(&e.mu)
	return e
}

// New returns the End of who has the client. Ask must be called before it can do anything.
func New(cfg Config) *End { return newEnd(cfg, false) }

// Ask asks the peer, which has the session, for a relay. head is the client's request head,
// peer of its connection, client its address, which may be behind a proxy.
func (e *End) Ask(session, head []byte, peer netip.AddrPort, client netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why == Open {
		ask := e.flow.ask(session, head, peer, client)
		e.publish(&ask)
	}
}

// Accept is the End of who has been asked by this frame, and has the session.
func Accept(cfg Config, ask *Frame) *End {
	e := newEnd(cfg, true)
	e.flow.asked(ask)
	return e
}

// Answered is closed when the peer that was asked has answered, or the relay has ended.
func (e *End) Answered() <-chan struct{} { return e.answered }

// Why is why the relay has ended; Open if it has not.
func (e *End) Why() Close {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// Holds is how many bytes the End has got that are not written.
func (e *End) Holds() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != Open {
		return 0
	}
	return e.flow.unwritten()
}

// Stats returns what was counted.
func (e *End) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// Break ends the relay, and tells the peer why.
func (e *End) Break(why Close) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.breakOff(why)
}

// Lost ends the relay because the peer, or the way to it, is lost.
func (e *End) Lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tear()
}

// tear must be called with mu held.
func (e *End) tear() {
	e.stats.Torn = e.stats.Torn || e.why == Open
	e.breakOff(Broken)
}

// breakOff must be called with mu held, like all that follow that are said to.
func (e *End) breakOff(why Close) {
	if e.why == Open {
		e.cfg.Publish(&Frame{Close: why})
		e.end(why)
	}
}

// end must be called with mu held.
func (e *End) end(why Close) {
	if e.why != Open {
		return
	}
	e.why = why
	e.cfg.Held.Add(-int64(e.flow.unwritten()))
	e.hear()
	for _, t := range []*time.Timer{e.lingers, e.probes} {
		if t != nil {
			t.Stop()
		}
	}
	if e.conn != nil {
		e.wake()
	}
	e.changed.Broadcast()
}

// wake ends what waits for conn, which is closed when nobody uses it any more: Close would
// wait for that with mu held.
func (e *End) wake() { e.conn.SetDeadline(time.Unix(1, 0)) }

// hear must be called with mu held.
func (e *End) hear() {
	if !e.heard {
		e.heard = true
		close(e.answered)
	}
}

// Receive takes a frame of the peer.
func (e *End) Receive(f *Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.why != Open || e.closing:
		return
	case f.Close.Ends() && e.flow.peerFinished && e.conn != nil && !e.written:
		e.closing = true // of what it has sent some may not be written yet
	case f.Close.Ends():
		e.end(f.Close)
		return
	default:
		before := e.flow.received
		if e.flow.receive(f) != nil {
			e.tear()
			return
		}
		e.cfg.Held.Add(int64(e.flow.received - before))
	}
	if e.flow.peerFinished {
		e.linger()
	}
	e.hear()
	e.changed.Broadcast()
}

// linger must be called with mu held.
func (e *End) linger() {
	if e.lingers == nil && e.why == Open {
		e.lingers = time.AfterFunc(lingerFor, func() { e.Break(Broken) })
	}
}

// send sends bytes. mu must be held.
func (e *End) send(data []byte, c Close) {
	f := e.flow.frame(data, c)
	e.publish(&f)
	if c == Finished {
		e.linger()
	}
}

// publish must be called with mu held. If the frame is dropped the relay ends.
func (e *End) publish(f *Frame) {
	if !e.cfg.Publish(f) {
		e.tear()
		return
	}
	e.stats.Frames++
	e.stats.Bytes += uint64(len(f.Data))
	if e.probes == nil && f.Number > 1 {
		e.silentIf = f.Number
		e.probes = time.AfterFunc(probeAfter, e.probe)
	}
}

// probe sends an empty frame if nothing was sent for a while, one for each such while.
func (e *End) probe() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != Open {
		return
	}
	if e.flow.number != e.silentIf {
		e.silentIf = e.flow.number
		e.probes.Reset(probeAfter)
		return
	}
	e.send(nil, Open)
	e.probes = nil
}

// Carry carries bytes between conn, a TCP or Unix connection, and the peer, which first gets
// rest. It returns when the relay has ended, and closes conn.
func (e *End) Carry(conn net.Conn, rest []byte) {
	e.mu.Lock()
	e.conn = conn
	if e.why != Open {
		e.wake()
	}
	e.mu.Unlock()
	defer conn.Close()
	var writing sync.WaitGroup
	writing.Go(func() { e.write(conn.(closeWriter)) })
	e.read(conn.(syscall.Conn), rest)
	writing.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flow.peerFinished {
		e.end(Finished) // the peer knows, as it has got all and has sent all
	}
	e.breakOff(Broken) // unless it has ended
}

// read sends what it reads of conn.
func (e *End) read(conn syscall.Conn, rest []byte) {
	raw, err := conn.SyscallConn()
	if err != nil {
		e.Break(Broken)
		return
	}
	most := max(1, min(chunk, e.cfg.MaxBody-Overhead))
	for {
		room := min(e.awaitRoom(), most)
		if room == 0 {
			return
		}
		if len(rest) > 0 {
			n := min(room, len(rest))
			e.sendAll(rest[:n], Open)
			rest = rest[n:]
			continue
		}
		switch n, err := readSome(raw, room, func(data []byte) { e.sendAll(data, Open) }); {
		case n > 0:
		case err == nil, e.has && errors.Is(err, unix.ECONNRESET): // the loop has closed its end, with bytes that it has not read
			e.atEnd()
			return
		default:
			e.Break(Broken)
			return
		}
	}
}

// atEnd is called when there are no more bytes to read.
func (e *End) atEnd() {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.why != Open:
	case e.has && e.flow.sent == 0: // the session has another transport by now
		e.breakOff(Broken)
	default:
		e.send(nil, Finished)
	}
}

func (e *End) sendAll(data []byte, c Close) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why == Open {
		e.send(data, c)
	}
}

// awaitRoom returns how many bytes may be sent, as soon as some may; 0 if the relay has
// ended.
func (e *End) awaitRoom() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		room := e.flow.room()
		if e.why != Open || e.closing {
			return 0
		}
		if room > 0 {
			return room
		}
		e.changed.Wait()
	}
}

var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// readSome waits for bytes and has them taken. While it waits it has no buffer. n is 0 at
// the end.
func readSome(raw syscall.RawConn, most int, take func([]byte)) (n int, err error) {
	failed := raw.Read(func(fd uintptr) bool {
		b := buffers.Get().(*[chunk]byte)
		defer buffers.Put(b)
		for {
			n, err = unix.Read(int(fd), b[:most])
			if err != unix.EINTR {
				break
			}
		}
		if n > 0 {
			take(b[:n])
		}
		return err != unix.EAGAIN
	})
	return max(n, 0), errors.Join(failed, err)
}

// closeWriter is a connection of which one direction can be closed.
type closeWriter interface {
	net.Conn
	CloseWrite() error
}

// write writes what the peer sends to conn.
func (e *End) write(conn closeWriter) {
	var data []byte
	for {
		var more bool
		if data, more = e.awaitData(data); !more {
			break
		}
		for rest := data; len(rest) > 0; {
			n, err := conn.Write(rest[:min(len(rest), Window/4)])
			e.wrote(n)
			if err != nil {
				e.atLast(nil) // what there is to read is still sent
				return
			}
			rest = rest[n:]
		}
	}
	e.atLast(conn)
}

// atLast is called when nothing more is written. If it is as the peer has sent no more, the
// connection is told so.
func (e *End) atLast(conn closeWriter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.written = true
	switch {
	case e.closing:
		e.end(Finished)
	case e.why == Open:
		if conn != nil {
			conn.CloseWrite() // if it fails the connection has ended, which read finds
		}
		e.linger()
	}
}

// awaitData returns what is to be written. more is false at the end.
func (e *End) awaitData(before []byte) (data []byte, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch data = e.flow.next(before); {
		case e.why != Open:
			return nil, false
		case len(data) > 0:
			return data, true
		case e.flow.peerFinished || e.closing:
			return nil, false
		}
		before = data
		e.changed.Wait()
	}
}

func (e *End) wrote(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	tell := e.flow.wrote(n)
	if e.why != Open {
		return
	}
	if e.cfg.Held.Add(-int64(n)); tell {
		e.send(nil, Open)
	}
}
