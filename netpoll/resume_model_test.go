package netpoll

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/internal/wiretest"
	"ws-gateway/netpoll/wire"
)

// Sessions are cut, acknowledged and resumed by a schedule, as loop_fuzz_test.go does it
// with connections: bytes say, step by step, what clients, the app and the clock do next.
// Two loops, which the test turns, exchange handshakes. What must hold: each message
// arrives once and in order, whichever way it goes, and each session ends once.

const (
	modelBuffer = 12 << 10 // Config.ResumeBuffer
	modelMemory = 24 << 10 // Config.ResumeMemory
	modelFor    = 5        // seconds: Config.ResumeFor
	modelRoams  = 4        // clients
	modelSteps  = 300
)

// roams is the world of these tests, and the Handler.
type roams struct {
	returns
	t        *testing.T
	memory   int64 // Config.ResumeMemory
	srv      *Server
	before   Stats // of the servers before a restart
	clients  [modelRoams]*roam
	sessions map[ID]*session
}

// session is what the app knows.
type session struct {
	client int
	conn   *Conn
	sent   []string // and taken
	got    []string
	away   bool
	closed int
	end    End
}

// roam is a client.
type roam struct {
	w       *roams
	number  int
	fd      int // -1: it is not connected
	deflate bool
	stream  []byte // to be written
	in      []byte // got, and not understood yet
	greeted bool
	closing bool // it has got a close frame
	cutUp   int  // it loses its connection when it has written, or read, so many bytes more; 0: it does not
	cutDown int

	id, token string
	of        *session
	said      []string
	has       uint64 // how many of these the gateway has said to have
	got       int    // of of.sent
	sessions  int
}

func newRoams(t *testing.T) *roams {
	return newRoamsWith(t, modelMemory)
}

func newRoamsWith(t *testing.T, memory int64) *roams {
	w := &roams{t: t, memory: memory, sessions: map[ID]*session{}}
	before := openDescriptors()
	w.srv = w.serve(nil)
	for i := range w.clients {
		w.clients[i] = &roam{w: w, number: i, fd: -1}
	}
	t.Cleanup(func() {
		for _, c := range w.clients {
			c.cut()
		}
		w.stop()
		for id, s := range w.sessions {
			if s.closed != 1 {
				t.Errorf("session %x ended %d times", uint64(id), s.closed)
			}
		}
		if after := openDescriptors(); after > before {
			t.Errorf("%d descriptors, %d before", after, before)
		}
	})
	return w
}

// serve makes a server whose loops the test turns.
func (w *roams) serve(origin *Origin) *Server {
	srv, err := New(Config{
		Handler: w, Resumer: w, Loops: 2, ResumeFor: modelFor * time.Second, ResumeBuffer: modelBuffer, ResumeMemory: w.memory,
		MaxPendingBytes: 4 << 10, MaxMessageSize: 4 << 10, Compression: true, Origin: origin,
		HandshakeTimeout: time.Hour, WriteTimeout: time.Hour, CloseTimeout: time.Hour,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	srv.started = true
	for _, l := range srv.loops {
		unix.TimerfdSettime(l.poll.tickfd, 0, new(unix.ItimerSpec), nil) // the schedule is the clock
	}
	return srv
}

// stop ends the server.
func (w *roams) stop() {
	for _, l := range w.srv.loops {
		l.end()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.srv.Stop(ctx); err != nil {
		w.t.Error(err)
	}
	if n := w.srv.Stats(); n.Open+n.Away+n.Resumable+n.Descriptors+n.Paused+n.PendingBytes+n.Handshaking+n.Closing != 0 || n.Budgets[ResumeBudget].Used != 0 {
		w.t.Errorf("something is left: %+v", n)
	}
}

// FuzzResume runs schedules.
func FuzzResume(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(randomSchedule(seed)[:300+20*seed]))
	}
	f.Fuzz(func(t *testing.T, steps []byte) { newRoams(t).play(steps) })
}

func TestEveryMessageArrivesOnceUnderRandomCutsAcknowledgementsAndResumes(t *testing.T) {
	var sum Stats
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newRoams(t)
			w.play(randomSchedule(1000 + seed))
			sum.add(&w.before)
			for _, l := range w.srv.loops {
				sum.add(&l.stats)
			}
		})
	}
	if sum.Resumed == 0 || sum.WentAway == 0 || sum.SentAgain == 0 || sum.ResumeOverruns == 0 || sum.AwayExpiry == 0 || sum.Farewells == 0 ||
		sum.ResumesMissed[MissedGone] == 0 || sum.ResumesMissed[MissedGap] == 0 || sum.Pauses == 0 || sum.MessagesIn < 500 || sum.Suspended == 0 {
		t.Errorf("something did not happen: %+v", sum)
	}
}

func TestAConnectionThatIsAwayEndsByTheTickOfResumeFor(t *testing.T) {
	w := newRoams(t)
	c := w.clients[0]
	meet := func() {
		c.connect(0)
		w.turn()
		c.read(1 << 20)
		c.cut()
		w.turn()
	}
	meet()
	first := c.of
	after := w.srv.loops[0].deadlines[awayDeadline].after // a second more: the tick under way does not count
	w.tick(after - 1)
	w.turn()
	if first.closed != 0 || !first.away {
		t.Fatalf("a second before: %+v", first)
	}
	meet() // a second before is not too late
	if c.of != first || w.srv.loops[0].stats.Resumed != 1 {
		t.Fatal("it was not resumed")
	}
	w.tick(after)
	w.turn()
	if first.closed != 1 || first.end.Cause != Disconnected || first.end.Code != statusAbnormal {
		t.Fatalf("in time: %+v", first)
	}
	meet()
	if c.of == first {
		t.Error("it was resumed too late")
	}
}

func TestAClientThatIsNotReadGetsSignsOfLife(t *testing.T) {
	w := newRoams(t)
	c := w.clients[0]
	c.connect(0)
	w.turn()
	c.read(1 << 20)
	c.say(0, 0)
	c.write(len(c.stream))
	w.turn()
	for _, why := range []PauseReason{BackPressure, RateLimit} {
		c.of.conn.Pause(why)
	}
	for i := range 3 {
		w.tick(signEvery)
		w.turn()
		c.has = 0
		if c.read(1 << 20); c.has != 1 {
			t.Fatalf("no sign of life after %d seconds", signEvery*(i+1))
		}
	}
	w.tick(signEvery - 1)
	w.turn()
	c.has = 0
	if c.read(1 << 20); c.has != 0 {
		t.Error("a sign of life before it is time")
	}
	c.cut()
	w.turn()
	w.tick(signEvery) // while it is away there is nobody to give one
	w.turn()
	c.connect(0)
	w.turn()
	c.read(1 << 20)
	w.tick(signEvery)
	w.turn()
	c.has = 0
	if c.read(1 << 20); !c.of.conn.Paused() || c.has != 1 {
		t.Errorf("no sign of life after a resume; paused %v", c.of.conn.Paused())
	}
	c.has = 0
	for _, why := range []PauseReason{BackPressure, RateLimit} {
		c.of.conn.Resume(why)
	}
	w.tick(3 * signEvery)
	w.turn()
	if c.read(1 << 20); c.has != 0 {
		t.Error("a sign of life though it is read")
	}
}

// A crowd closes, and the app sends before the loop has seen to all of them.
func TestAClientThatHasClosedDoesNotGoAwayWhileItsFrameIsPutBy(t *testing.T) {
	for name, lose := range map[string]func(*roams, *roam){
		"a write fails": func(w *roams, c *roam) {
			c.cut()
			w.broadcast(0)
		},
		"the server drains":     func(_ *roams, c *roam) { c.of.conn.Part(1012, "service restart") },
		"its pings do not come": func(w *roams, c *roam) { w.close(c.of, PingTimeout) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newRoams(t)
			c := w.clients[0]
			c.connect(0)
			w.turn()
			c.read(1 << 20)
			l := c.of.conn.loop
			l.leavers.served = transientsPerTurn
			unix.Write(c.fd, clientFrame(0x88, "\x03\xe8"))
			events, err := l.poll.wait(false)
			if err != nil {
				t.Fatal(err)
			}
			if l.dispatchAll(events); !c.of.conn.PausedFor(byCrowd) {
				t.Fatal("the close frame was not put by")
			}
			lose(w, c)
			w.turn()
			if c.of.closed != 1 || c.of.away {
				t.Errorf("ended %d times, away %v", c.of.closed, c.of.away)
			}
		})
	}
}

// What was kept may be more than MaxPendingBytes, and leave no room for what comes next.
func TestWhatIsSentAgainDoesNotMakeAClientASlowConsumer(t *testing.T) {
	w := newRoams(t)
	c := w.clients[0]
	c.connect(0)
	w.turn()
	c.read(1 << 20)
	c.cut()
	w.turn()
	for range 5 {
		w.send(c.of, 0, 2000)
	}
	c.connect(0)
	w.turn() // it reads nothing yet
	was, conn := c.of, c.of.conn
	if conn.Away() || conn.out == nil || conn.out.bytes <= 4<<10 {
		t.Fatalf("%d bytes wait", conn.out.bytes)
	}
	w.send(was, 0, 1000)
	if was.closed > 0 {
		t.Fatalf("closed: %+v", was.end)
	}
	for range 40 {
		w.turn()
		c.read(1 << 20)
	}
	if c.got != len(was.sent) || conn.out != nil {
		t.Errorf("it has %d of %d messages", c.got, len(was.sent))
	}
	c.acknowledge()
	c.write(1 << 20)
	w.turn()
	for range 100 { // what is sent live counts as ever
		w.send(was, 0, 500)
		w.turn()
	}
	if was.closed != 1 || was.end.Cause != SlowConsumer {
		t.Errorf("more than MaxPendingBytes waits: %+v", was.end)
	}
}

// crowd has so many clients leave.
func (w *roams) crowd(many int) []*roam {
	crowd := make([]*roam, many)
	for i := range crowd {
		c := &roam{w: w, number: i, fd: -1}
		crowd[i] = c
		c.connect(15 * i) // at both loops
		w.work()
		c.read(1 << 20)
		c.cut()
	}
	w.turn()
	return crowd
}

func ended(crowd []*roam) (n int) {
	for _, c := range crowd {
		n += c.of.closed
	}
	return n
}

// Thousands who are away share a frame, and their memory has a bound.
func TestThousandsWhoAreAwayHoldNoMoreThanTheBudget(t *testing.T) {
	const (
		many   = 2000
		shared = many * 200
		alone  = 300 // beside that, at least
	)
	w := newRoamsWith(t, shared+many*alone/10)
	crowd := w.crowd(many)
	w.broadcast(2000)
	w.turn()
	if n := ended(crowd); n != 0 {
		t.Fatalf("a frame that all share has ended %d sessions", n)
	}
	for i, c := range crowd {
		w.send(c.of, i, alone)
		w.work()
	}
	w.turn()
	alive := many - ended(crowd)
	if alive < many/4 || alive > many/2 {
		t.Errorf("%d sessions are left", alive)
	}
	if gaveWay := w.srv.Stats().Budgets[ResumeBudget].GaveWay; int(gaveWay) != many-alive {
		t.Errorf("%d gave way, %d have ended", gaveWay, many-alive)
	}
	for _, c := range crowd {
		if c.of.closed > 0 {
			continue
		}
		was := c.of
		c.connect(0)
		w.work()
		if c.read(1 << 20); c.of != was || c.got != len(was.sent) {
			t.Fatalf("%d of %d messages", c.got, len(was.sent))
		}
		c.cut()
	}
	w.turn()
}

// Of messages of a byte that all get the references take most.
func TestReferencesToSharedMessagesAreBoundedByTheBudget(t *testing.T) {
	const (
		many   = 200
		memory = 128 << 10 // with 100 of them each has room for 80 references
	)
	w := newRoamsWith(t, memory)
	crowd := w.crowd(many)
	for range 100 {
		w.broadcast(0)
		w.turn() // checks that the budget holds
	}
	if n := ended(crowd); n < many/4 || n == many {
		t.Errorf("%d of %d sessions have ended", n, many)
	}
	var heap int64
	for _, c := range crowd {
		if conn := c.of.alive(); conn != nil {
			heap += int64(8 * cap(conn.record().kept.frames))
		}
	}
	if heap > memory || heap < memory/3 {
		t.Errorf("the references take %d bytes", heap)
	}
}

// A client that gets as many messages as it acknowledges has no more memory for that after a
// while, and gives back what it needed in between.
func TestReferencesTakeNoMoreThanWhatIsKept(t *testing.T) {
	b := &budget{alarm: func() {}}
	b.limit.Store(1 << 30)
	k := new(kept)
	b.add(k.own())
	fits := func(n int) {
		t.Helper()
		if k.len() != n || cap(k.frames) > max(16, 2*n) {
			t.Errorf("room for %d references, %d are kept", cap(k.frames), k.len())
		}
	}
	for range 5 {
		k.push(NewFrame(ws.OpText, nil), b)
	}
	for range 10_000 {
		k.push(NewFrame(ws.OpText, nil), b)
		k.shrink(5, b)
	}
	fits(5)
	for range 5000 {
		k.push(NewFrame(ws.OpText, nil), b)
	}
	fits(5005)
	used := k.own()
	for _, f := range k.frames[k.head:] {
		used += f.memory()
	}
	if got := b.used.Load(); got != used {
		t.Errorf("%d bytes are counted, %d are used", got, used)
	}
}

// A conversation of 50 messages each way, from the handshake on.
func TestAConversationIsCutAtEveryByte(t *testing.T) {
	w := newRoams(t)
	for _, up := range []bool{true, false} {
		offset := 1
		for w.converse(up, offset) > 1 && !t.Failed() {
			offset++
		}
		if offset < 800 {
			t.Errorf("up %v: it was over after %d bytes", up, offset)
		}
	}
}

// converse cuts the first connection of a conversation at an offset, and returns how many
// connections that took.
func (w *roams) converse(up bool, offset int) (connections int) {
	const messages = 50
	c := &roam{w: w, fd: -1}
	w.clients[0] = c
	if up {
		c.cutUp = offset
	} else {
		c.cutDown = offset
	}
	for rounds := 0; c.of == nil || c.has < messages || c.got < messages; rounds++ {
		if rounds > 1000 || w.t.Failed() {
			w.t.Fatalf("cut at %d, up %v: %d connections; it has %d messages, the gateway %d", offset, up, connections, c.got, c.has)
		}
		if c.fd < 0 {
			connections++
			c.connect(0)
		}
		for range 5 {
			if c.greeted && len(c.said) < messages {
				c.say(rounds, 0)
			}
			if c.of != nil && len(c.of.sent) < messages {
				w.send(c.of, rounds, 0)
			}
		}
		if c.of != nil && c.got == messages {
			c.acknowledge()
		}
		c.write(len(c.stream))
		w.turn()
		c.read(1 << 20)
	}
	w.turn()
	if s := c.of; len(s.got) != messages || fmt.Sprint(s.got) != fmt.Sprint(c.said) {
		w.t.Errorf("cut at %d, up %v: the app has got %q", offset, up, s.got)
	}
	for id, s := range w.sessions { // the first may have been cut before its greeting
		w.close(s, AppClosed)
		if s.closed != 1 {
			w.t.Errorf("cut at %d: session %x ended %d times", offset, uint64(id), s.closed)
		}
	}
	clear(w.sessions)
	c.cut()
	w.turn()
	return connections
}

func (w *roams) play(s schedule) {
	for range modelSteps {
		if len(s) == 0 || w.t.Failed() {
			break
		}
		w.step(&s)
		w.turn()
	}
	w.settle()
}

// turn lets both loops work, until nothing is left to do, and checks their books.
func (w *roams) turn() {
	w.work()
	w.audit()
}

func (w *roams) work() {
	for range 4 {
		for _, l := range w.srv.loops {
			events, err := l.poll.wait(false)
			if err != nil {
				w.t.Fatal(err)
			}
			l.turn(events)
		}
	}
}

// audit checks the books of the loops.
func (w *roams) audit() {
	keepers, used := map[*Frame]int32{}, int64(0)
	audit := func(k *kept) {
		bytes, weight := 0, int64(0)
		for _, f := range k.frames[k.head:] {
			keepers[f]++
			bytes += f.keptBytes()
			weight += f.keptShare()
		}
		used += int64(keptTakes + cap(k.frames)*int(unsafe.Sizeof(k)))
		if bytes != k.bytes || bytes > modelBuffer || k.len() == 0 || k.weight != weight {
			w.t.Errorf("%d bytes are kept, %d are said to be, weight %d and %d, in %d frames", bytes, k.bytes, weight, k.weight, k.len())
		}
	}
	for _, l := range w.srv.loops {
		var away, resumable int64
		for slot := range l.slots {
			c := l.conns.At(slot)
			if c.state == stateAway {
				away++
				if c.fd != -1 || c.in != nil || c.out != nil || c.deadline.kind != awayDeadline || !c.record().whole() {
					w.t.Errorf("away: %+v, %+v", c, c.record())
				}
			}
			if c.resume == 0 || c.state == stateFree {
				continue
			}
			resumable++
			if c.state != stateAway && c.state != stateOpen {
				w.t.Errorf("a record in state %d", c.state)
			}
			r := c.record()
			if k := r.kept; k != nil {
				audit(k)
				if k.held.bytes != k.weight+k.own() {
					w.t.Errorf("%d bytes are held, %d and %d are kept", k.held.bytes, k.weight, k.own())
				}
			}
		}
		if l.stats.Away != away || l.stats.Resumable != resumable {
			w.t.Errorf("%d are away, %d resumable, counted are %d and %d", l.stats.Away, l.stats.Resumable, away, resumable)
		}
	}
	for _, l := range w.srv.loops {
		for _, farewell := range l.farewells.byID {
			if k := farewell.kept; k != nil {
				audit(k)
			}
		}
	}
	for f, n := range keepers {
		if f.keepers.Load() != n {
			w.t.Errorf("a frame is kept %d times, and counted %d times", n, f.keepers.Load())
		}
		used += int64(f.wire.Memory() + frameTakes)
	}
	if got := w.srv.ledger.all[ResumeBudget].used.Load(); got != used || used > w.memory {
		w.t.Errorf("%d bytes are kept, %d are counted", used, got)
	}
	for id, s := range w.sessions {
		c := w.srv.loops[id.Loop()].Lookup(id)
		if alive := c != nil; alive != (s.closed == 0) {
			w.t.Errorf("session %x: alive %v, ended %d times", uint64(id), alive, s.closed)
		}
		if c != nil && c.Away() != s.away {
			w.t.Errorf("session %x: away %v, the Handler knows %v", uint64(id), c.Away(), s.away)
		}
	}
}

func (w *roams) step(s *schedule) {
	action, c := s.next(), w.clients[s.next()%modelRoams]
	switch action % 20 {
	case 0, 1:
		c.connect(s.next())
	case 2:
		c.cut()
	case 3, 4, 5, 6:
		c.say(s.next(), s.size())
	case 7, 8:
		c.write(s.amount())
	case 9:
		c.write(len(c.stream))
	case 10, 11:
		c.read(s.amount())
	case 12:
		c.read(1 << 20)
	case 13:
		c.acknowledge()
	case 14, 15, 16:
		w.send(c.of, s.next(), s.size())
	case 17:
		w.broadcast(s.size())
	case 18:
		w.pause(c.of, s.next())
	case 19:
		switch n := s.next(); n % 8 {
		case 0:
			w.close(c.of, AppClosed)
		case 1, 2:
			w.close(c.of, PingTimeout)
		case 3:
			if n > 128 {
				w.close(c.of, SlowConsumer)
			}
		case 4:
			w.restart(n)
		default:
			w.tick(uint32(n / 8 % (modelFor - 1)))
		}
	}
}

// settle has every client come back and get what it has missed.
func (w *roams) settle() {
	for _, c := range w.clients {
		if c.of == nil || c.of.closed > 0 || w.t.Failed() {
			continue
		}
		for _, why := range []PauseReason{BackPressure, RateLimit} {
			if conn := c.of.alive(); conn != nil {
				conn.Resume(why)
			}
		}
		w.turn()
		was, overruns := c.of, c.of.alive() != nil && !c.of.alive().record().whole()
		c.cut()
		w.turn()
		c.connect(0)
		for deadline := time.Now().Add(patience); !c.greeted || len(c.stream) > 0 || c.of == was && c.got < len(was.sent); {
			c.write(len(c.stream))
			w.turn()
			c.read(1 << 20)
			if c.fd < 0 || w.t.Failed() || time.Now().After(deadline) {
				break
			}
		}
		w.turn()
		switch {
		case c.of != was && (was.closed == 1 || overruns):
		case c.of != was:
			w.t.Errorf("client %d has lost its session", c.number)
		case c.got != len(was.sent) || len(was.got) != len(c.said):
			w.t.Errorf("client %d has %d of %d messages, the app %d of %d", c.number, c.got, len(was.sent), len(was.got), len(c.said))
		}
	}
}

func (s *session) alive() *Conn {
	if s == nil || s.closed > 0 {
		return nil
	}
	return s.conn
}

func (w *roams) send(s *session, n, size int) {
	c := s.alive()
	if c == nil {
		return
	}
	text := strings.Repeat("\x1e", n%4/3) + fmt.Sprintf("app:%d:", len(s.sent))
	text += strings.Repeat("x", min(size, 3000))
	s.sent = append(s.sent, text) // before it ends because of this
	var took bool
	if n&4 == 0 {
		took = c.Send(NewFrame(ws.OpText, []byte(text)))
	} else {
		took = c.Reply(ws.OpText, []byte(text))
	}
	if took != (s.closed == 0) {
		w.t.Errorf("taken: %v, ended: %d", took, s.closed)
	}
}

func (w *roams) broadcast(size int) {
	text := strings.Repeat("\x1e", size%4/3) + strings.Repeat("b", min(size, 3000)+1)
	frame := NewFrame(ws.OpText, []byte(text))
	w.srv.Prepare(frame)
	for _, s := range w.sessions {
		if c := s.alive(); c != nil {
			s.sent = append(s.sent, text)
			c.Send(frame)
		}
	}
}

func (w *roams) pause(s *session, n int) {
	c := s.alive()
	if c == nil {
		return
	}
	why := [...]PauseReason{BackPressure, RateLimit}[n&1]
	if n%3 == 0 {
		c.Pause(why)
	} else {
		c.Resume(why)
	}
}

func (w *roams) close(s *session, cause Cause) {
	if c := s.alive(); c != nil {
		resumable := c.mayGoAway()
		if cause == PingTimeout && c.Away() {
			return // the hub does not
		}
		c.Close(cause, 4001, cause.String())
		if goes := cause == PingTimeout && resumable; goes == (s.closed == 1) {
			w.t.Errorf("closed for %v, resumable %v: ended %d times", cause, resumable, s.closed)
		}
	}
}

func (w *roams) tick(n uint32) {
	for _, l := range w.srv.loops {
		l.now += n
		l.ticking = true
	}
}

// The Handler.

func (w *roams) Upgrade(c *Conn, r *wire.Request) Verdict {
	user, _ := r.Get("X-User")
	n, err := strconv.Atoi(string(user))
	if err != nil || w.sessions[c.ID()] != nil {
		w.t.Errorf("upgrade of %q", user)
	}
	w.sessions[c.ID()] = &session{client: n, conn: c}
	return Verdict{}
}

func (w *roams) of(c *Conn) *session {
	s := w.sessions[c.ID()]
	if s == nil || s.closed > 0 || s.conn != c {
		w.t.Fatalf("a call for a session that is not there: %+v", s)
	}
	return s
}

func (w *roams) Frame(c *Conn, _ ws.OpCode) { w.of(c) }
func (w *roams) Resumed(c *Conn)            { w.of(c) }

func (w *roams) Message(c *Conn, _ ws.OpCode, payload []byte) {
	s := w.of(c)
	s.got = append(s.got, string(payload))
}

func (w *roams) Closed(c *Conn, end End) {
	s := w.of(c)
	s.closed++
	s.end = end
}

func (w *roams) Tick(*Loop, uint32) bool { return false }

func (w *roams) Away(c *Conn) {
	s := w.of(c)
	if s.away {
		w.t.Error("away twice")
	}
	s.away = true
}

func (w *roams) Returned(c *Conn, r *wire.Request, _ time.Duration) {
	s := w.of(c)
	s.away = false
	if user, _ := r.Get("X-User"); string(user) != strconv.Itoa(s.client) {
		w.t.Errorf("%s has the session of %d", user, s.client)
	}
}

// The client.

func (c *roam) connect(n int) {
	c.cut()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		c.w.t.Fatal(err)
	}
	unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	c.fd, c.in, c.greeted, c.closing, c.deflate = fds[1], nil, false, false, n%3 == 1
	lines := fmt.Sprintf("X-User: %d\r\nSec-WebSocket-Protocol: %s", c.number, wire.ResumeProtocol)
	if c.token != "" {
		lines += fmt.Sprintf(", %s.%s.%d", wire.ResumeProtocol, c.token, c.got)
	}
	if c.deflate {
		lines += "\r\nSec-WebSocket-Extensions: permessage-deflate"
	}
	c.stream = []byte(strings.Replace(testHandshake, "\r\n\r\n", "\r\n"+lines+"\r\n\r\n", 1))
	c.w.srv.loops[n/3%2].adopt(int32(fds[0]), netip.AddrPort{})
	c.write(len(c.stream))
	switch {
	case n%5 == 4: // the answer is lost
		c.w.turn()
		c.cut()
	case n&1 == 1:
		c.w.turn()
		c.read(1 << 20)
	}
}

func (c *roam) cut() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd, c.stream = -1, nil
	}
}

func (c *roam) say(n, size int) {
	if c.of == nil || !c.greeted || c.closing {
		return // it would not know in which session
	}
	text := strings.Repeat("\x1e", n%4/3) + fmt.Sprintf("client:%d:%d:", c.sessions, len(c.said)) + strings.Repeat("y", min(size, 2000))
	c.said = append(c.said, text)
	c.queue(text, n)
}

// queue queues a message, in two frames, compressed, or as it is.
func (c *roam) queue(text string, n int) {
	if text[0] == 0x1e {
		text = "\x1e" + text
	}
	switch {
	case n&8 != 0:
		c.stream = append(c.stream, clientFrame(1, text[:3])...)
		c.stream = append(c.stream, clientFrame(0x89, "ping")...)
		c.stream = append(c.stream, clientFrame(0x80, text[3:])...)
	case n&16 != 0 && c.deflate:
		c.stream = append(c.stream, clientFrame(0xC1, string(wiretest.Deflate(c.w.t, []byte(text), false)))...)
	default:
		c.stream = append(c.stream, clientFrame(0x81, text)...)
	}
}

func (c *roam) acknowledge() {
	if c.greeted && !c.closing {
		c.stream = append(c.stream, clientFrame(0x81, "\x1e"+strconv.Itoa(c.got))...)
	}
}

func (c *roam) write(n int) {
	if n = min(n, len(c.stream)); n == 0 || c.fd < 0 {
		return
	}
	if c.cutUp > 0 {
		n = min(n, c.cutUp)
	}
	switch n, err := unix.SendmsgN(c.fd, c.stream[:n], nil, nil, unix.MSG_NOSIGNAL); {
	case err == nil:
		c.stream = c.stream[n:]
		if c.cutUp -= n; c.cutUp == 0 {
			c.cut()
		}
		c.cutUp = max(c.cutUp, 0)
	case err != unix.EAGAIN:
		c.stream = nil
	}
}

func (c *roam) read(n int) {
	for buf := make([]byte, 4<<10); n > 0 && c.fd >= 0; {
		want := min(n, len(buf))
		if c.cutDown > 0 {
			want = min(want, c.cutDown)
		}
		got, err := unix.Read(c.fd, buf[:want])
		if err == unix.EAGAIN {
			return
		}
		if err != nil || got == 0 {
			c.cut()
			return
		}
		n -= got
		c.in = append(c.in, buf[:got]...)
		c.understand()
		if c.cutDown -= got; c.cutDown == 0 {
			c.cut()
		}
		c.cutDown = max(c.cutDown, 0)
	}
}

func (c *roam) understand() {
	if !c.greeted && !bytes.HasPrefix(c.in, []byte{0x81}) && !bytes.HasPrefix(c.in, []byte{0x88}) {
		end := bytes.Index(c.in, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 101 ")) {
			c.w.t.Errorf("answered with %q", c.in[:end])
		}
		c.deflate = bytes.Contains(c.in[:end], []byte("permessage-deflate"))
		c.in = c.in[end+4:]
	}
	for {
		h, payload, rest, ok := cutFrame(c.in)
		if !ok {
			return
		}
		c.in = rest
		if h.Rsv != 0 {
			var err error
			if payload, err = wiretest.Inflate(payload); err != nil || !c.deflate {
				c.w.t.Errorf("a compressed frame, agreed %v: %v", c.deflate, err)
			}
		}
		c.frame(h.OpCode, string(payload))
	}
}

func (c *roam) frame(op ws.OpCode, payload string) {
	t := c.w.t
	rest, marked := strings.CutPrefix(payload, "\x1e")
	switch {
	case op == ws.OpPong:
	case op == ws.OpClose:
		c.closing = true
		if !c.greeted && (c.of == nil || c.of.closed != 1 || c.of.end.Cause != AppClosed || !strings.HasSuffix(payload, AppClosed.String())) {
			t.Errorf("client %d: farewell %q", c.number, payload)
		}
		if !c.greeted {
			c.token = "" // it has been told
		}
	case !c.greeted:
		c.greet(rest)
	case marked && !strings.HasPrefix(rest, "\x1e"):
		n, err := strconv.ParseUint(rest, 10, 64)
		if err != nil || n < c.has || n > uint64(len(c.said)) {
			t.Errorf("client %d: acknowledged %q of %d messages, before %d", c.number, rest, len(c.said), c.has)
		}
		c.has = n
	default:
		if marked {
			payload = rest
		}
		if c.got >= len(c.of.sent) || payload != c.of.sent[c.got] {
			t.Errorf("client %d: message %d is %.30q; sent were %d", c.number, c.got, payload, len(c.of.sent))
			return
		}
		c.got++
	}
}

func (c *roam) greet(payload string) {
	t := c.w.t
	var g struct {
		Resumed   bool
		ID, Token string
		For       int
		Received  uint64
	}
	if err := json.Unmarshal([]byte(payload), &g); err != nil || g.For != modelFor {
		t.Fatalf("greeting %q: %v", payload, err)
	}
	id, _ := c.w.ParseID([]byte(g.ID))
	s := c.w.sessions[id]
	c.greeted = true
	if g.Resumed {
		if s != c.of || g.ID != c.id || g.Received > uint64(len(c.said)) || g.Received < c.has || g.Received > uint64(len(s.got)) {
			t.Errorf("client %d: greeting %q; %d said, the gateway had %d, the app has %d", c.number, payload, len(c.said), c.has, len(s.got))
			return
		}
		c.token, c.has = g.Token, g.Received
		for i, text := range c.said[c.has:] {
			c.queue(text, i)
		}
		return
	}
	if old := c.of; old != nil && old.closed == 0 {
		t.Errorf("client %d has a new session, and its old one lives", c.number)
	}
	c.sessions++
	c.of, c.id, c.token, c.said, c.has, c.got = s, g.ID, g.Token, nil, 0, 0
}
