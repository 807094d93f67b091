package netpoll

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"ws-gateway/netpoll/wire"
)

func TestMain(m *testing.M) {
	before := openDescriptors()
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	// What the kernel or a finalizer closes in a moment is no leak. Two are the runtime's own.
	for end := time.Now().Add(10 * time.Second); code == 0 && openDescriptors() > before+2; runtime.GC() {
		if time.Now().After(end) {
			os.Stderr.WriteString("descriptors leaked\n")
			code = 1
		}
	}
	os.Exit(code)
}

func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

const patience = 2 * time.Minute // for what must happen, however busy the machine

// recorder is a Handler that echoes and keeps what it is told.
type recorder struct {
	upgrade func(*wire.Request) Verdict
	message func(c *Conn, op ws.OpCode, payload []byte)

	mu     sync.Mutex
	change sync.Cond
	opened []ID
	frames []ws.OpCode
	ends   map[ID][]End
	resume int
}

func newRecorder() *recorder {
	r := &recorder{ends: map[ID][]End{}}
	r.change.L = &r.mu
	return r
}

func (r *recorder) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.change.Broadcast()
}

// await waits until cond, which is called with the lock held.
func (r *recorder) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	late := false
	timer := time.AfterFunc(patience, func() { r.note(func() { late = true }) })
	defer timer.Stop()
	for !cond() {
		if late {
			t.Fatalf("waited in vain for: %s", what)
		}
		r.change.Wait()
	}
}

func (r *recorder) Upgrade(c *Conn, q *wire.Request) (v Verdict) {
	if r.upgrade != nil {
		v = r.upgrade(q)
	}
	if v.Status == 0 {
		id := c.ID()
		r.note(func() { r.opened = append(r.opened, id) })
	}
	return v
}

func (r *recorder) Frame(c *Conn, op ws.OpCode) {
	r.note(func() { r.frames = append(r.frames, op) })
}

func (r *recorder) Message(c *Conn, op ws.OpCode, payload []byte) {
	if r.message != nil {
		r.message(c, op, payload)
		return
	}
	c.Reply(op, payload)
}

func (r *recorder) Resumed(*Conn) { r.note(func() { r.resume++ }) }

func (r *recorder) Closed(c *Conn, end End) {
	id := c.ID()
	r.note(func() { r.ends[id] = append(r.ends[id], end) })
}

func (r *recorder) Tick(*Loop, uint32) bool { return false }

// only returns the end of the only connection.
func (r *recorder) only(t *testing.T) End {
	t.Helper()
	var end End
	r.await(t, "the connection's end", func() bool { return len(r.ends) > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, ends := range r.ends {
		if len(r.ends) != 1 || len(ends) != 1 {
			t.Fatalf("ends of %v: %v", id, r.ends)
		}
		end = ends[0]
	}
	return end
}

func startServer(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = 2
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if n := s.Stats(); n.Descriptors != 0 || n.Open != 0 || n.Handshaking != 0 || n.Closing != 0 || n.Paused != 0 || n.PendingBytes != 0 || n.AssemblyBytes != 0 {
			t.Errorf("something is left after Stop: %+v", n)
		}
	})
	return s, addr.String()
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(testContext(t), "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(64 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// dialRaw opens a connection by hand, past the handshake.
func dialRaw(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, testHandshake); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 0, 512)
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("handshake: %v after %q", err, head)
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("handshake answered with %q", head)
	}
	return c.(*net.TCPConn)
}

const testHandshake = "GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// clientFrame is a masked frame, built by hand.
func clientFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

func TestMessagesOfAnySizeComeBack(t *testing.T) {
	_, addr := startServer(t, Config{Handler: newRecorder(), MaxMessageSize: 4 << 20, MaxPendingBytes: 8 << 20})
	c := dial(t, addr)
	for _, size := range []int{0, 1, 125, 126, 127, 1000, readSize - 10, readSize, readSize + 1, 65535, 65536, 1 << 20, 4 << 20} {
		want := make([]byte, size)
		rand.Read(want)
		if err := c.Write(testContext(t), websocket.MessageBinary, want); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		kind, got, err := c.Read(testContext(t))
		if err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: got %v of %d bytes, %v", size, kind, len(got), err)
		}
	}
}

func TestTheClientsCloseIsAnsweredWithItsCode(t *testing.T) {
	h := newRecorder()
	_, addr := startServer(t, Config{Handler: h})
	if err := dial(t, addr).Close(4321, "so long"); err != nil { // fails unless the handshake completes
		t.Fatal(err)
	}
	if end := h.only(t); end != (End{PeerClosed, 4321, "so long"}) {
		t.Errorf("ended with %+v", end)
	}
}

func TestEveryChopOfAFrameSequenceMeansTheSame(t *testing.T) {
	h := newRecorder()
	_, addr := startServer(t, Config{Handler: h, Loops: 1})
	stream := bytes.Join([][]byte{
		clientFrame(0x81, "hello"),
		clientFrame(0x89, "ping payload"),
		clientFrame(0x01, "fragmented \xe2\x82"), // the euro sign is cut
		clientFrame(0x89, ""),
		clientFrame(0x00, "\xac and"),
		clientFrame(0x80, " done"),
		clientFrame(0x82, strings.Repeat("x", 300)),
		clientFrame(0x88, "\x0f\xa0bye"),
	}, nil)
	want := bytes.Join([][]byte{
		[]byte("\x81\x05hello"),
		[]byte("\x8a\x0cping payload"),
		[]byte("\x8a\x00"),
		[]byte("\x81\x17fragmented \xe2\x82\xac and done"),
		[]byte("\x82\x7e\x01\x2c" + strings.Repeat("x", 300)),
		[]byte("\x88\x02\x0f\xa0"),
	}, nil)
	want[bytes.Index(want, []byte("fragmented"))-1] = byte(len("fragmented \xe2\x82\xac and done"))
	for _, chop := range []int{1, 2, 3, 5, 7, 11, 64, len(stream)} {
		c := dialRaw(t, addr)
		for rest := stream; len(rest) > 0; {
			n := min(chop, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: %v\ngot  %q\nwant %q", chop, err, got, want)
		}
	}
}

func TestFramesInTheSamePacketAsTheHandshakeWork(t *testing.T) {
	_, addr := startServer(t, Config{Handler: newRecorder()})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(append([]byte(testHandshake), append(clientFrame(0x81, "early"), clientFrame(0x88, "")...)...))
	got, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(got, []byte("\r\n\r\n\x81\x05early\x88\x00")) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestViolationsAreAnsweredWithACloseFrameAndTheEndOfTheStream(t *testing.T) {
	for _, tt := range []struct {
		name   string
		frames []byte
		end    End
	}{
		{"continuation first", clientFrame(0x80, "x"), End{ProtocolError, 1002, "continuation frame without a message to continue"}},
		{"message within a message", append(clientFrame(0x01, "x"), clientFrame(0x81, "y")...), End{ProtocolError, 1002, "new message before the end of the one under way"}},
		{"reserved bit", clientFrame(0xC1, "x"), End{ProtocolError, 1002, "reserved bits set in a frame header"}},
		{"unmasked", []byte("\x81\x01x"), End{ProtocolError, 1002, "unmasked frame"}},
		{"bad text", clientFrame(0x81, "\xff"), End{InvalidUTF8, 1007, "text is not valid UTF-8"}},
		{"text cut in a rune", append(clientFrame(0x01, "\xe2\x82"), clientFrame(0x80, "")...), End{InvalidUTF8, 1007, "text is not valid UTF-8"}},
		{"too big", clientFrame(0x82, strings.Repeat("x", 1001)), End{MessageTooBig, 1009, "message over 1000 bytes"}},
		{"too big in fragments", append(clientFrame(0x02, strings.Repeat("x", 600)), clientFrame(0x80, strings.Repeat("x", 401))...), End{MessageTooBig, 1009, "message over 1000 bytes"}},
		{"a length that only claims", []byte("\x82\xff\x00\x00\x10\x00\x00\x00\x00\x00"), End{MessageTooBig, 1009, "message over 1000 bytes"}},
		{"close code 1005", clientFrame(0x88, "\x03\xed"), End{ProtocolError, 1002, ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newRecorder()
			_, addr := startServer(t, Config{Handler: h, MaxMessageSize: 1000})
			c := dialRaw(t, addr)
			c.Write(append(tt.frames, bytes.Repeat([]byte("trailing"), 100)...)) // unread input must not turn the close frame into a reset
			got, err := io.ReadAll(c)
			if err != nil || len(got) < 4 || got[0] != 0x88 || int(got[2])<<8|int(got[3]) != int(tt.end.Code) {
				t.Errorf("got %q, %v", got, err)
			}
			end := h.only(t)
			if tt.end.Reason == "" {
				tt.end.Reason = end.Reason
			}
			if end != tt.end || !bytes.HasSuffix(got, []byte(end.Reason)) {
				t.Errorf("ended with %+v, want %+v", end, tt.end)
			}
		})
	}
}

func TestATransportThatEndsOrBreaksIsADisconnect(t *testing.T) {
	for _, reset := range []bool{false, true} {
		h := newRecorder()
		_, addr := startServer(t, Config{Handler: h})
		c := dialRaw(t, addr)
		if reset {
			c.SetLinger(0)
		}
		c.Close()
		if end := h.only(t); end != (End{Disconnected, 1006, ""}) {
			t.Errorf("reset %v: ended with %+v", reset, end)
		}
	}
}

func TestCloseTellsTheHandlerOnceAndTheClientWhy(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	c := dial(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	s.Loops()[0].Post(func(l *Loop) bool {
		conn := l.Lookup(h.opened[0])
		conn.Close(AppClosed, 4001, "enough")
		conn.Close(AppClosed, 4002, "twice")
		if conn.Send(NewFrame(ws.OpText, []byte("late"))) || l.Lookup(h.opened[0]) != nil {
			t.Error("a closed connection still takes frames, or can be found")
		}
		return false
	})
	_, _, err := c.Read(testContext(t))
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != 4001 || closed.Reason != "enough" {
		t.Errorf("the client saw %v", err)
	}
	if end := h.only(t); end != (End{AppClosed, 4001, "enough"}) {
		t.Errorf("ended with %+v", end)
	}
}

func TestAPeerThatNeverAnswersOurCloseIsDroppedInTime(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, CloseTimeout: time.Second})
	c := dialRaw(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	s.Loops()[0].Post(func(l *Loop) bool {
		l.Lookup(h.opened[0]).Close(AppClosed, 1000, "")
		return false
	})
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, []byte("\x88\x02\x03\xe8")) {
		t.Errorf("got %q, %v", got, err)
	}
	h.only(t)
}

func TestAHeadThatDoesNotArriveInTimeEndsTheConnection(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, HandshakeTimeout: time.Second})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /ws HT")
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	awaitStats(t, s, "one expiry", func(n Stats) bool { return n.HandshakeExpiry == 1 && n.Descriptors == 0 })
}

func TestAHandlerThatPausesGetsTheRestLaterInOrder(t *testing.T) {
	h := newRecorder()
	var got []string
	h.message = func(c *Conn, _ ws.OpCode, payload []byte) {
		h.note(func() { got = append(got, string(payload)) })
		if len(got)%3 == 0 {
			c.Pause(BackPressure)
		}
	}
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	c := dialRaw(t, addr)
	var all []byte
	for i := range 10 {
		all = append(all, clientFrame(0x81, string(rune('a'+i)))...)
	}
	c.Write(append(all, clientFrame(0x88, "")...))
	for n := 3; n <= 9; n += 3 {
		h.await(t, "messages", func() bool { return len(got) == n && len(h.ends) == 0 })
		s.Loops()[0].Post(func(l *Loop) bool {
			conn := l.Lookup(h.opened[0])
			if !conn.Paused() {
				t.Error("not paused")
			}
			conn.Resume(BackPressure)
			return false
		})
	}
	if end := h.only(t); end.Cause != PeerClosed || strings.Join(got, "") != "abcdefghij" || h.resume != 3 {
		t.Errorf("%+v after %q, resumed %d times", end, got, h.resume)
	}
}

func TestAPausedConnectionEndsBehindWhatArrivedUnlessItIsClosedFromHere(t *testing.T) {
	h := newRecorder()
	var got []string
	h.message = func(c *Conn, _ ws.OpCode, payload []byte) {
		h.note(func() { got = append(got, string(payload)) })
		c.Pause(BackPressure)
	}
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	c := dialRaw(t, addr)
	c.Write(bytes.Repeat(clientFrame(0x81, "x"), 3))
	h.await(t, "first message", func() bool { return len(got) == 1 })
	c.SetLinger(0)
	c.Close()
	s.Loops()[0].Post(func(l *Loop) bool {
		l.Lookup(h.opened[0]).Resume(BackPressure)
		return false
	})
	h.await(t, "second message", func() bool { return len(got) == 2 })
	s.Loops()[0].Post(func(l *Loop) bool {
		l.Lookup(h.opened[0]).Close(AppClosed, 1000, "")
		return false
	})
	if end := h.only(t); end.Cause != AppClosed || len(got) != 2 {
		t.Errorf("%+v after %d messages", end, len(got))
	}
	counted := make(chan uint64)
	s.Loops()[0].Post(func(l *Loop) bool { counted <- l.stats.BytesUnread; return false })
	if n, want := <-counted, uint64(len(clientFrame(0x81, "x"))); n != want {
		t.Errorf("%d bytes are counted as unread, want %d", n, want)
	}
}

func TestPressureStopsAllReadingAndLetsItGoOn(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h})
	conns := make([]*websocket.Conn, 8)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	s.SetPressure(true)
	for _, c := range conns {
		c.Write(testContext(t), websocket.MessageText, []byte("waits"))
	}
	for _, l := range s.Loops() { // a turn with these events has passed when a later task runs and all are paused
		done := make(chan struct{})
		l.Post(func(l *Loop) bool {
			paused, open := 0, 0
			for slot := range l.Slots() {
				if c := l.At(slot); c != nil {
					open++
					if c.Paused() {
						paused++
					}
				}
			}
			if paused < open {
				return true
			}
			close(done)
			return false
		})
		<-done
	}
	h.mu.Lock()
	if len(h.frames) != 0 {
		t.Errorf("%d frames were read under pressure", len(h.frames))
	}
	h.mu.Unlock()
	s.SetPressure(false)
	for _, c := range conns {
		if _, got, err := c.Read(testContext(t)); string(got) != "waits" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// What a connection has sent may be here already when it may go on: under pressure it
// stays where it is; if pressure comes back, reading stops again.
func TestWhatIsHereAlreadyWaitsForTheEndOfPressureToo(t *testing.T) {
	h := newRecorder()
	var s *Server
	got, press := 0, false
	h.message = func(c *Conn, _ ws.OpCode, _ []byte) {
		c.Pause(BackPressure)
		h.note(func() {
			if got++; press {
				s.SetPressure(true)
			}
		})
	}
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	const conns, each = 5, 3
	for range conns {
		dialRaw(t, addr).Write(bytes.Repeat(clientFrame(0x81, "x"), each))
	}
	resume := func() {
		done := make(chan struct{})
		s.Loops()[0].Post(func(l *Loop) bool {
			for _, id := range h.opened {
				l.Lookup(id).Resume(BackPressure)
			}
			close(done)
			return false
		})
		<-done
	}
	now := func() (n int) { h.note(func() { n = got }); return n }
	h.await(t, "first messages", func() bool { return got == conns })
	s.SetPressure(true)
	resume()
	resume()
	if n := now(); n != conns {
		t.Errorf("%d messages under pressure", n-conns)
	}
	h.note(func() { press = true })
	for n := conns + 1; n <= conns*2; n++ {
		s.SetPressure(false)
		h.await(t, "a message", func() bool { return got >= n })
		resume()
		if m := now(); m != n {
			t.Fatalf("%d messages, want %d: pressure was back after one", m, n)
		}
	}
	h.note(func() { press = false })
	s.SetPressure(false)
	for n := conns*2 + 1; n <= conns*each; n++ {
		resume()
		h.await(t, "a message", func() bool { return got >= n })
	}
}

func TestAClientThatNeverReadsIsClosedAndNobodyElseIs(t *testing.T) {
	t.Parallel()
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, CloseTimeout: time.Second})
	stuck := dialRaw(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	good := dial(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 2 })
	frame := NewFrame(ws.OpBinary, make([]byte, 100<<10))
	sent := 0
	s.Loops()[0].Post(func(l *Loop) bool {
		c := l.Lookup(h.opened[0])
		if c == nil || sent > 1000 {
			return false
		}
		c.Send(frame)
		sent++
		return true
	})
	go good.Write(testContext(t), websocket.MessageText, []byte("hello"))
	if _, got, err := good.Read(testContext(t)); string(got) != "hello" || err != nil {
		t.Errorf("the other connection got %q, %v", got, err)
	}
	if end := h.only(t); end != (End{SlowConsumer, 1008, "slow consumer"}) {
		t.Errorf("ended with %+v after %d frames", end, sent)
	}
	// What arrives in the end is whole frames and the close frame, if it is read in time.
	got, _ := io.ReadAll(stuck)
	for len(got) > 0 && got[0] == 0x82 && len(got) >= frame.Len() {
		got = got[frame.Len():]
	}
	if len(got) >= 2 && got[0] == 0x88 && !bytes.HasSuffix(got, []byte("slow consumer")) {
		t.Errorf("the stream ends with %q", got)
	}
}

func TestOutputThatMakesNoProgressEndsTheConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, WriteTimeout: time.Second, CloseTimeout: time.Second})
	dialRaw(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	s.Loops()[0].Post(func(l *Loop) bool {
		l.Lookup(h.opened[0]).Send(NewFrame(ws.OpBinary, make([]byte, 32<<20))) // larger than any socket buffer, alone: taken
		return false
	})
	if end := h.only(t); end != (End{SlowConsumer, 1008, "slow consumer"}) {
		t.Errorf("ended with %+v", end)
	}
}

func TestFramesSentInOneTurnArriveInOrderWhateverTheirSize(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, MaxPendingBytes: 64 << 20})
	c := dial(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	sizes := []int{1, corkSize / 2, corkSize, 10, 8 << 20, 3, ownedChunk, 1 << 20, 0, corkSize - 20, 7}
	s.Loops()[0].Post(func(l *Loop) bool {
		for i, n := range sizes {
			if !l.Lookup(h.opened[0]).Send(NewFrame(ws.OpBinary, bytes.Repeat([]byte{byte(i)}, n))) {
				t.Errorf("frame %d was refused", i)
			}
		}
		return false
	})
	for i, n := range sizes {
		_, got, err := c.Read(testContext(t))
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, n)) {
			t.Fatalf("frame %d: %d bytes, %v; want %d", i, len(got), err, n)
		}
	}
}

func TestOtherRequestsAreHandedOffWithAllTheirBytes(t *testing.T) {
	refuse := netip.MustParseAddr("127.0.0.2")
	s, addr := startServer(t, Config{Handler: newRecorder(), HandOff: func(peer netip.AddrPort, path []byte) bool {
		return peer.Addr() != refuse && string(path) != "/nobody"
	}})
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.URL.Path+" "+string(body))
	})}
	go web.Serve(s.HandedOff())
	defer web.Close()
	body := strings.Repeat("body", 50_000)
	resp, err := http.Post("http://"+addr+"/api", "", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "/api "+body || err != nil {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	http.DefaultClient.CloseIdleConnections() // the one that was handed off stays so
	resp, err = http.Get("http://" + addr + "/nobody")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("refused with %s", resp.Status)
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	for _, tt := range []struct{ name, request, status string }{
		{"not http", "\x16\x03\x01\x02\x00", "400"},
		{"header over the limit", "GET /ws HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2_000_000) + "\r\n\r\n", "431"},
		{"no upgrade", "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", "426"},
		{"method", "POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "405"},
		{"elsewhere", "GET /else HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
		{"header syntax", "GET /ws HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := startServer(t, Config{Handler: newRecorder()})
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			go io.WriteString(c, tt.request)
			got, err := io.ReadAll(c)
			if !bytes.HasPrefix(got, []byte("HTTP/1.1 "+tt.status+" ")) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestStopClosesEveryConnectionWithGoingAway(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h})
	conns := make([]*websocket.Conn, 50)
	for i := range conns {
		conns[i] = dial(t, addr)
	}
	var clients sync.WaitGroup
	for _, c := range conns {
		clients.Go(func() {
			_, _, err := c.Read(context.Background())
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the client saw %v", err)
			}
		})
	}
	if err := s.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if len(h.ends) != len(conns) {
		t.Errorf("%d ends", len(h.ends))
	}
	if err := s.Loops()[0].Post(func(*Loop) bool { return false }); !errors.Is(err, ErrStopped) {
		t.Errorf("Post after Stop: %v", err)
	}
}

func TestAnIDOfAnEarlierConnectionFindsNobody(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	dial(t, addr).Close(1000, "")
	h.await(t, "end", func() bool { return len(h.ends) == 1 })
	found := make(chan bool)
	s.Loops()[0].Post(func(l *Loop) bool { // the descriptor may live a little longer than the connection
		return l.stats.Descriptors > 0
	})
	dial(t, addr)
	h.await(t, "open", func() bool { return len(h.opened) == 2 })
	s.Loops()[0].Post(func(l *Loop) bool {
		found <- l.Lookup(h.opened[0]) != nil
		found <- l.Lookup(h.opened[1]) != nil
		return false
	})
	if old, now := <-found, <-found; old || !now || h.opened[0].Slot() != h.opened[1].Slot() {
		t.Errorf("ids %x: found %v, %v", h.opened, old, now)
	}
}

func TestEchoAllocatesNothing(t *testing.T) {
	h := newRecorder()
	var handler Handler = quiet{h}
	_, addr := startServer(t, Config{Handler: handler, Loops: 1})
	c := dialRaw(t, addr)
	frame, reply := clientFrame(0x81, strings.Repeat("e", 64)), make([]byte, 66)
	if n := testing.AllocsPerRun(1000, func() {
		c.Write(frame)
		io.ReadFull(c, reply)
	}); n > 0 {
		t.Errorf("%v allocations for each echo", n)
	}
}

// quiet is a recorder that does not record frames.
type quiet struct{ *recorder }

func (quiet) Frame(*Conn, ws.OpCode) {}

func TestAClientThatReadsSlowlyIsNoSlowConsumer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1, WriteTimeout: time.Second})
	c := dialRaw(t, addr)
	c.SetReadBuffer(4096)
	h.await(t, "open", func() bool { return len(h.opened) == 1 })
	s.Loops()[0].Post(func(l *Loop) bool {
		l.Lookup(h.opened[0]).Send(NewFrame(ws.OpBinary, make([]byte, 16<<20)))
		return false
	})
	// The loop goes on only once the client has read some: on a busy machine it must
	// not see one that had no processor.
	read, enough := make(chan struct{}), make(chan struct{})
	defer close(read)
	start := uint32(0)
	s.Loops()[0].Post(func(l *Loop) bool {
		for range 8 {
			<-read
		}
		if start == 0 {
			start = l.Now() + 1
		}
		if l.Now() < start+4 { // far beyond the timeout, and far from the end
			return true
		}
		close(enough)
		return false
	})
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for b, reading := make([]byte, 4<<10), true; reading; <-pace.C {
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
		select {
		case read <- struct{}{}:
		case <-enough:
			reading = false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ends) != 0 {
		t.Errorf("ended with %v", h.ends)
	}
}

func TestReadingGoesOnOnlyWhenNoReasonAgainstItIsLeft(t *testing.T) {
	h := newRecorder()
	var got []string
	h.message = func(c *Conn, _ ws.OpCode, payload []byte) {
		h.note(func() { got = append(got, string(payload)) })
		if string(payload) == "a" {
			c.Pause(BackPressure)
			c.Pause(RateLimit)
		}
	}
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	dialRaw(t, addr).Write(append(clientFrame(0x81, "a"), clientFrame(0x81, "b")...))
	h.await(t, "first message", func() bool { return len(got) == 1 })
	after := func(what string, do func(c *Conn), resumed int) {
		done := make(chan struct{})
		s.Loops()[0].Post(func(l *Loop) bool {
			defer close(done)
			c := l.Lookup(h.opened[0])
			do(c)
			if len(got) != 1+resumed || h.resume != resumed || c.Paused() == (resumed > 0) {
				t.Errorf("%s: got %q, resumed %d times, paused %v", what, got, h.resume, c.Paused())
			}
			return false
		})
		<-done
	}
	after("one reason gone", func(c *Conn) { c.Resume(BackPressure) }, 0)
	after("the same again", func(c *Conn) { c.Resume(BackPressure) }, 0)
	after("which is left", func(c *Conn) {
		if c.PausedFor(BackPressure) || !c.PausedFor(RateLimit) {
			t.Error("the wrong reason is left")
		}
	}, 0)
	after("both gone", func(c *Conn) { c.Resume(RateLimit) }, 1)
	if n := s.Stats().Pauses; n > 1 {
		t.Errorf("%d pauses are counted", n)
	}
}

func TestBytesAreReportedAsReadWhenTheirMessagesHaveBeenDelivered(t *testing.T) {
	h := newRecorder()
	var messages, bytes int
	h.message = func(*Conn, ws.OpCode, []byte) { messages++ }
	_, addr := startServer(t, Config{Handler: h, Loops: 1, Received: func(c *Conn, n int) {
		if bytes += n; bytes == 30 {
			if messages != 2 {
				t.Errorf("%d messages", messages)
			}
			c.Close(RateLimited, 1008, "rate limit")
		}
	}})
	c := dialRaw(t, addr)
	c.Write(append(clientFrame(0x81, "123456789"), clientFrame(0x82, "123456789")...))
	if end := h.only(t); end != (End{RateLimited, 1008, "rate limit"}) {
		t.Errorf("%+v", end)
	}
}
