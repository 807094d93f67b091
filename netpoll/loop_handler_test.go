package netpoll

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// witness is the Handler of a fuzzed loop. It belongs to the loop's goroutine.
type witness struct {
	world  *world
	lives  map[ID]*life
	list   []*life
	parked map[int]ID // by token
	calm   bool       // do nothing but watch
	ticks  int
}

// life is what the Handler was told of a connection, and what it sent.
type life struct {
	w     *world
	id    ID
	token int

	messages int
	pings    int
	sent     []string // what Send and Reply took, and pongs
	messSeq  int
	trap     int

	atFrame bool // it was paused at a frame, whose message may still come
	closed  int
	end     End
	endedAt uint32
	owed    bool // it ended while output waited
}

// Traps are what a life does at the next occasion.
const (
	noTrap = iota
	closeAtFrame
	pauseAtFrame
	closeAtResumed
	pauseAtResumed
	sendAtResumed
	pauseWhenReceived
	closeWhenReceived
	traps
)

func (h *witness) byToken(token int) *life {
	for _, f := range h.list {
		if f.token == token {
			return f
		}
	}
	return nil
}

// of returns the life that a call is about, which must be under way.
func (h *witness) of(c *Conn, call string) *life {
	f := h.lives[c.ID()]
	switch {
	case f == nil:
		h.world.t.Errorf("%s for a connection that was never opened", call)
		return &life{w: h.world, id: c.ID()}
	case f.closed > 0:
		h.world.t.Errorf("%s after Closed", call)
	}
	return f
}

func (h *witness) Upgrade(c *Conn, r *wire.Request) Verdict {
	target, refuse := strings.CutSuffix(strings.TrimPrefix(string(r.Target), "/ws?"), "&refuse")
	token, park := strings.CutSuffix(target, "&park")
	n, err := strconv.Atoi(token)
	if err != nil || h.byToken(n) != nil || h.lives[c.ID()] != nil {
		h.world.t.Errorf("Upgrade of %q", r.Target)
	}
	if park && !h.calm {
		h.parked[n] = c.ID()
		return Verdict{Pending: true}
	}
	return h.verdict(c.ID(), n, refuse)
}

// verdict accepts, or refuses who asks for it.
func (h *witness) verdict(id ID, token int, refuse bool) Verdict {
	if refuse {
		return Verdict{Status: 503, Reason: "refused", RetryAfter: time.Second}
	}
	f := &life{w: h.world, id: id, token: token}
	h.lives[id] = f
	h.list = append(h.list, f)
	return Verdict{}
}

// decide brings the verdict for a handshake that was parked, if it still waits.
func (h *witness) unpark(token int) {
	id, was := h.parked[token]
	if !was {
		return
	}
	delete(h.parked, token)
	l, refused := h.world.loop, h.world.clients[token].refused
	switch waits := l.Parked(id); {
	case !waits:
		if l.Unpark(id, Verdict{}) {
			h.world.t.Errorf("connection %d: decided, and yet not parked", token)
		}
	case !l.Unpark(id, h.verdict(id, token, refused)) || l.Parked(id) || l.Unpark(id, Verdict{}):
		h.world.t.Errorf("connection %d: parked, and not decided once", token)
	}
}

func (h *witness) received(c *Conn, n int) {
	f := h.of(c, "Received")
	if n <= 0 || n > readSize {
		h.world.t.Errorf("%d bytes received", n)
	}
	switch f.take(pauseWhenReceived, closeWhenReceived) {
	case pauseWhenReceived:
		c.Pause(RateLimit)
	case closeWhenReceived:
		c.Close(RateLimited, statusPolicy, "rate limited")
	}
}

func (h *witness) Frame(c *Conn, op ws.OpCode) {
	f := h.of(c, "Frame")
	if op == ws.OpPing {
		f.sent = append(f.sent, pingPayload(f.token, f.pings))
		f.pings++
	}
	switch f.take(closeAtFrame, pauseAtFrame) {
	case closeAtFrame:
		c.Close(AppClosed, 4001, "at a frame")
	case pauseAtFrame:
		c.Pause(BackPressure)
		f.atFrame = true
	}
}

func (h *witness) Message(c *Conn, op ws.OpCode, payload []byte) {
	f := h.of(c, "Message")
	if c.Paused() && !f.atFrame {
		h.world.t.Errorf("connection %d: a message while reading is stopped", f.token)
	}
	f.atFrame = false
	head := strings.SplitN(string(payload[:min(len(payload), 64)]), ":", 6)
	if len(head) < 6 {
		h.world.t.Errorf("%q is nobody's message", payload)
		return
	}
	size, _ := strconv.Atoi(head[3])
	command := head[4][0]
	want := clientPayload(f.token, f.messages, command, size)
	if !bytes.Equal(payload, want) {
		h.world.t.Errorf("connection %d, message %d: %.80q, want %.80q", f.token, f.messages, payload, want)
	}
	f.messages++
	if !h.calm {
		h.obey(c, f, command, size)
	}
}

// obey does what a message asks for.
func (h *witness) obey(c *Conn, f *life, command byte, size int) {
	switch command {
	case 'e':
		f.send(size)
	case 'b':
		f.send(20<<10 + size)
	case 'f':
		for range 30 {
			f.send(900)
		}
	case 'k':
		h.close(f.token, size)
	case 'x':
		c.Close(OverCapacity, statusTryAgain, "try again later")
	case 'p':
		c.Pause(BackPressure)
	case 'o':
		other := h.list[size%len(h.list)]
		if size&1 == 0 {
			h.close(other.token, size)
		} else {
			other.send(size)
		}
	}
}

func (h *witness) Resumed(c *Conn) {
	f := h.of(c, "Resumed")
	if c.Paused() {
		h.world.t.Error("Resumed, and yet paused")
	}
	switch f.take(closeAtResumed, pauseAtResumed, sendAtResumed) {
	case closeAtResumed:
		c.Close(AppClosed, 4002, "at Resumed")
	case pauseAtResumed:
		c.Pause(RateLimit)
	case sendAtResumed:
		f.send(40 << 10)
	}
}

func (h *witness) Closed(c *Conn, end End) {
	f := h.of(c, "Closed")
	f.closed++
	f.end, f.endedAt, f.owed = end, c.Loop().Now(), c.out != nil || c.loop.corked == c
	if c.Loop().Lookup(f.id) != nil || c.Reply(ws.OpText, []byte("too late")) || c.Send(NewFrame(ws.OpText, nil)) {
		h.world.t.Error("a connection that has ended can be found, or takes messages")
	}
	c.Close(AppClosed, 4003, "again") // does nothing
	c.Pause(BackPressure)
}

func (h *witness) Tick(*Loop, uint32) (more bool) {
	h.ticks++
	return h.ticks%3 != 0
}

// take returns the trap if it is one of these, and disarms it.
func (f *life) take(these ...int) int {
	for _, trap := range these {
		if f.trap == trap && !f.w.told.calm {
			f.trap = noTrap
			return trap
		}
	}
	return noTrap
}

// send sends a message, if the connection is still there and takes it.
func (f *life) send(size int) {
	c := f.w.loop.Lookup(f.id)
	if c == nil {
		return
	}
	payload := serverPayload(f.token, f.messSeq, size)
	var took bool
	if f.messSeq%3 == 0 {
		took = c.Send(NewFrame(frameKind(size), payload))
	} else {
		took = c.Reply(frameKind(size), payload)
	}
	if took {
		f.sent = append(f.sent, fmt.Sprintf("message %d to %d of %d", f.messSeq, f.token, size))
		f.messSeq++
	}
}

// close closes a connection as the hub would.
func (h *witness) close(token, n int) {
	f := h.byToken(token)
	if f == nil {
		return
	}
	c := h.world.loop.Lookup(f.id)
	if c == nil {
		return
	}
	switch n % 3 {
	case 0:
		c.Close(AppClosed, 4000, "closed by the app")
	case 1:
		c.Close(PingTimeout, statusPolicy, "ping timeout")
	case 2:
		c.Close(GoingAway, statusGoingAway, "going away")
	}
	if f.closed != 1 || h.world.loop.Lookup(f.id) != nil {
		h.world.t.Error("Close has returned, and the connection lives")
	}
}
