package netpoll

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// What fuzzing the loop has found, each reduced to what it takes.

func TestAViolationAfterOurCloseFrameDoesNotLoseIt(t *testing.T) {
	for _, waiting := range []int{0, 40 << 10} {
		w := newWorld(t, false, false)
		w.connect(0, &schedule{16})
		c := w.live[0]
		c.write(len(c.stream))
		w.turn()
		w.send(c.token, waiting) // 40 KiB do not fit into the socket
		w.do(func(*Loop) { w.told.close(c.token, 0) })
		c.queueViolation(new(schedule))
		c.write(len(c.stream))
		w.turn()
		for !c.ended && c.read(1<<20) > 0 {
			w.turn()
		}
		if c.closeFrame != "4000 closed by the app" || !slices.Equal(c.got, w.told.list[0].sent) || len(c.got) != 1 {
			t.Errorf("with %d bytes: got %q, then the close frame %q", waiting, c.got, c.closeFrame)
		}
		c.hangUp()
		w.turn()
	}
}

func TestAStoppedMailboxCountsNoTasks(t *testing.T) {
	m := newMailbox(func() {})
	if err := m.post(t.Context(), noTask); err != nil {
		t.Fatal(err)
	}
	if left := m.stop(); len(left) != 1 || m.len() != 0 {
		t.Errorf("%d tasks handed over, %d are still counted", len(left), m.len())
	}
}

func TestWhatAConnectionHeldDoesNotOutliveIt(t *testing.T) {
	w := newWorld(t, false, false)
	for place := range fuzzClients {
		w.connect(place, &schedule{16 + 32})
		c := w.live[place]
		c.write(len(c.stream))
		w.turn()
		c.queue(clientFrame(0x82, string(clientPayload(c.token, 0, 'p', 30))))
		c.wholeAt = append(c.wholeAt, c.queued)
		c.queue(make([]byte, fuzzAssembly+1000))
		c.write(len(c.stream))
		w.turn()
		c.violate = true
	}
	ended := 0
	for place := range fuzzClients {
		if f := w.told.byToken(w.live[place].token); f.end.Cause == OverCapacity {
			ended++
		}
	}
	budget := &w.loop.srv.ledger.all[MessageBudget]
	if used := budget.used.Load(); ended == 0 || ended == fuzzClients || used > budget.limit.Load() && ended < fuzzClients-1 {
		t.Errorf("%d connections gave way, %d bytes are held", ended, used)
	}
	w.farewell()
	if used := budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are kept for connections that have ended", used)
	}
}

// What was kept of a small message's memory used to count behind the end of its
// connection, which then gave way once more, before its close frame was written.
func TestWhoGivesWayForASmallMessageIsToldWhy(t *testing.T) {
	const message, budget = 12 << 10, 30 << 10
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, MaxMessageSize: 16 << 10, MaxAssemblyMemory: budget})
	first := dialRaw(t, addr)
	for i, c := range []*net.TCPConn{first, dialRaw(t, addr), dialRaw(t, addr)} {
		c.Write(clientFrame(0x02, strings.Repeat("m", message)))
		if i < 2 {
			awaitStats(t, s, "the message to arrive", func(n Stats) bool { return n.AssemblyBytes >= int64(i+1)*message })
		}
	}
	got, err := io.ReadAll(first)
	if want := "\x88\x11\x03\xf5try again later"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	first.Close()
	awaitStats(t, s, "the others to stay", func(n Stats) bool { return n.Open == 2 && n.Closing == 0 && n.Closed[OverCapacity] == 1 })
}

// closesAtFrames closes a connection as soon as a frame arrives, as a rate limit does.
type closesAtFrames struct{ *recorder }

func (closesAtFrames) Frame(c *Conn, _ ws.OpCode) { c.Close(RateLimited, statusPolicy, "rate limit") }

// What follows such a frame used to be dropped, or read as if the frame's payload were
// the next header: the client's close frame was not found, and the end had to wait for
// Config.CloseTimeout.
func TestTheCloseFrameIsFoundBehindAFrameThatWasTooMuch(t *testing.T) {
	frame := clientFrame(0x81, strings.Repeat("\x88", 200))
	stream := append(frame, clientFrame(0x88, "\x03\xe8")...)
	for _, cut := range []int{len(stream), len(frame) - 100, len(frame)} {
		h := closesAtFrames{newRecorder()}
		_, addr := startServer(t, Config{Handler: h, Loops: 1, CloseTimeout: time.Hour})
		c := dialRaw(t, addr)
		c.Write(stream[:cut])
		h.only(t)
		c.Write(stream[cut:])
		got, err := io.ReadAll(c)
		if want := "\x88\x0c\x03\xf0rate limit"; string(got) != want || err != nil {
			t.Errorf("cut at %d: got %q, %v; want %q", cut, got, err, want)
		}
	}
}

// While the app is slow a client that is not read for it holds what has been read of
// it already, for as long as that takes. Those who leave messages unfinished must not
// drive it out.
func TestWhoWaitsForTheAppDoesNotGiveWayToHalfMessages(t *testing.T) {
	const budget = 64 << 10
	h := newRecorder()
	h.message = func(c *Conn, _ ws.OpCode, _ []byte) { c.Pause(BackPressure) }
	s, addr := startServer(t, Config{Handler: h, Loops: 1, MaxMessageSize: budget, MaxAssemblyMemory: budget})
	waiting := dialRaw(t, addr)
	waiting.Write(bytes.Repeat(clientFrame(0x82, strings.Repeat("w", 2000)), 10))
	awaitStats(t, s, "it not to be read", func(n Stats) bool { return n.Paused == 1 && n.AssemblyBytes > 2000 })
	s.Loops()[0].Post(func(l *Loop) bool { l.now += 100; return false })
	for range 4 {
		half := dialRaw(t, addr)
		half.Write(clientFrame(0x82, strings.Repeat("h", 50_000))[:30_000])
	}
	awaitStats(t, s, "some to give way", func(n Stats) bool {
		return n.Closed[OverCapacity] >= 2 && n.AssemblyBytes <= budget
	})
	h.note(func() {
		if ends := h.ends[h.opened[0]]; len(ends) > 0 {
			t.Errorf("who waits for the app has ended: %+v", ends)
		}
	})
}

// What the kernel held in a bad hour is not shown for ever.
func TestWhatTheKernelHeldIsForgotten(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1, SocketMemory: 1 << 20})
	dialRaw(t, addr)
	budget, posted := &s.ledger.all[SocketBudget], make(chan struct{})
	s.Loops()[0].Post(func(l *Loop) bool {
		defer close(posted)
		l.kernel.mark = 1 << 40 // nothing is written that would make it look
		l.kernel.held, l.kernelShown = 500_000, l.kernelShown+500_000
		budget.used.Add(500_000)
		l.kernel.tick, l.now = l.now, l.now+forgetTicks
		return false
	})
	<-posted
	awaitStats(t, s, "the kernel to be looked at again", func(Stats) bool { return budget.used.Load() < 500_000 })
}

func TestALargeHeadIsNotHandedToTheNextConnection(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), Loops: 1})
	start, rest, _ := strings.Cut(testHandshake, "Host")
	upgrades(t, begin(t, s, addr, start+"Cookie: "+strings.Repeat("c", 5000)), "\r\nHost"+rest)
	begin(t, s, addr, "")
	checked := make(chan struct{})
	s.Loops()[0].Post(func(l *Loop) bool {
		defer close(checked)
		for slot := range l.slots {
			if in := l.conns.At(slot).in; in != nil && cap(in.head) > UsualHead {
				t.Errorf("%d bytes, not counted", cap(in.head))
			}
		}
		return false
	})
	<-checked
}
