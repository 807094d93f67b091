package hub

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ws-gateway/forward"
	"ws-gateway/hub/groups"
	"ws-gateway/netpoll"
)

// The bounds of taps: at most MaxTaps × maxTapBacklog events wait, each with at most
// MaxTapData bytes of payload.
const (
	MaxTaps    = 16
	MaxTapData = 1 << 10 // of a payload, in bytes

	maxTapBacklog = 1000
)

// ErrTaps is returned when MaxTaps taps are open.
var ErrTaps = errors.New("hub: too many taps are open")

// TapAction is what a TapEvent is about.
type TapAction uint8

// The actions.
const (
	TapOpen    TapAction = iota
	TapMessage           // from the client, except pings
	TapPing              // the client's ping message
	TapSend              // a message that was queued for the client, except pongs
	TapClose
	TapAway    // it has lost its transport, and its client may come back
	TapResumed // its client has come back
	tapActions
)

var tapActionNames = [tapActions]string{"open", "message", "ping", "send", "close", "away", "resumed"}

// String returns the action's name.
func (a TapAction) String() string { return tapActionNames[a] }

// ParseTapAction is the inverse of String.
func ParseTapAction(name string) (a TapAction, ok bool) {
	for a := range tapActions {
		if tapActionNames[a] == name {
			return a, true
		}
	}
	return 0, false
}

// TapEvent is one thing that happened to a connection.
type TapEvent struct {
	Time         time.Time
	Action       TapAction
	ConnID, User string
	RemoteAddr   string        // of TapOpen and TapResumed
	Away         time.Duration // of TapResumed; 0: the transport before seemed to be alive

	// Of TapMessage, TapPing and TapSend.
	Size      int    // of the payload, in bytes
	Binary    bool   // not text
	Data      []byte // with TapFilter.Payload: the payload, or its beginning; text is not cut within a rune
	Truncated bool   // Data is not all of it
	Trace     string // of TapSend: the traceparent of the call; "": it had none

	End forward.End // of TapClose

	Instance string // the name of the gateway, where there are several; never set by Tap
}

// TapFilter selects events. The zero value selects all except pings, without their
// payloads.
type TapFilter struct {
	Users   []string    // of these users; nil: of all
	Conns   []string    // of these connections; nil: of all
	Groups  []string    // of connections that are in one of these groups at that moment; nil: of all
	Actions []TapAction // nil: all except TapPing
	Payload bool
}

// Tap is a stream of what happens. Loops put events into it, its owner takes them
// out; neither waits for the other. Allow says how many events it may still take:
// the rest are counted and dropped before anything is copied, so that a tap costs
// the loops no more than its owner asks for.
type Tap struct {
	// Static.
	taps    *taps
	users   map[string]struct{}
	conns   map[netpoll.ID]struct{}
	groups  []groups.Name // as Directory.Names returns them; nil: any
	actions [tapActions]bool
	payload bool

	dropped atomic.Uint64 // since Take
	room    atomic.Int64  // how many events may still come in; written with mu held

	mu     sync.Mutex // guards the following
	events []TapEvent
}

// taps are the open taps. The zero value has none.
type taps struct {
	list atomic.Pointer[[]*Tap] // nil: none, which is all that a loop has to look at

	events, dropped, refused atomic.Uint64

	mu sync.Mutex // held to write list
}

// Tap opens a tap, which the caller must Close. It collects nothing before the first
// Allow. The error is nil or ErrTaps.
func (h *Hub) Tap(f TapFilter) (*Tap, error) {
	t := &Tap{taps: &h.taps, payload: f.Payload}
	if f.Users != nil {
		t.users = make(map[string]struct{}, len(f.Users))
		for _, user := range f.Users {
			t.users[user] = struct{}{}
		}
	}
	if f.Conns != nil {
		t.conns = make(map[netpoll.ID]struct{}, len(f.Conns))
		for _, conn := range f.Conns {
			if id, ok := h.parse(conn); ok { // an id that is not ours will never be here
				t.conns[id] = struct{}{}
			}
		}
	}
	if f.Groups != nil {
		t.groups = h.groups.Names(f.Groups)
	}
	for a := range tapActions {
		t.actions[a] = f.Actions == nil && a != TapPing
	}
	for _, a := range f.Actions {
		t.actions[a] = true
	}
	if !h.taps.add(t) {
		h.taps.refused.Add(1)
		return nil, ErrTaps
	}
	return t, nil
}

func (s *taps) add(t *Tap) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Tap
	if old := s.list.Load(); old != nil {
		list = append(list, *old...)
	}
	if len(list) >= MaxTaps {
		return false
	}
	list = append(list, t)
	s.list.Store(&list)
	return true
}

// Close ends the tap. Calling it again does nothing.
func (t *Tap) Close() {
	s := t.taps
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.list.Load()
	if old == nil {
		return
	}
	var list []*Tap
	for _, other := range *old {
		if other != t {
			list = append(list, other)
		}
	}
	if len(list) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&list)
}

// Allow lets n more events in, but at most limit before the next call.
func (t *Tap) Allow(n, limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit = min(limit, maxTapBacklog-len(t.events))
	t.room.Store(min(t.room.Load()+int64(n), int64(limit)))
}

// Take appends the events that have come in to dst. dropped is how many others
// there were since the last call.
func (t *Tap) Take(dst []TapEvent) (events []TapEvent, dropped uint64) {
	t.mu.Lock()
	dst = append(dst, t.events...)
	clear(t.events)
	t.events = t.events[:0]
	t.mu.Unlock()
	dropped = t.dropped.Swap(0)
	t.taps.dropped.Add(dropped)
	return dst, dropped
}

// tapped reports whether a tap is open.
func (h *Hub) tapped() bool { return h.taps.list.Load() != nil }

// show gives an event of a listed connection to the taps that want it. It runs on
// the connection's loop, and copies payload.
func (h *Hub) show(ls *loopState, id netpoll.ID, e TapEvent, payload []byte) {
	list := h.taps.list.Load()
	if list == nil {
		return
	}
	user := ls.sessions.At(id.Slot()).User
	for _, t := range *list {
		if !t.wants(e.Action, id, user) || t.groups != nil && !ls.inAny(id.Slot(), t.groups) {
			continue
		}
		if t.room.Load() <= 0 {
			t.dropped.Add(1)
			continue
		}
		if e.ConnID == "" {
			e.Time, e.User = time.Now(), user
			e.ConnID = string(h.instance.appendID(nil, id))
		}
		t.put(e, payload)
	}
}

func (t *Tap) wants(a TapAction, id netpoll.ID, user string) bool {
	if !t.actions[a] {
		return false
	}
	if t.users != nil {
		if _, ok := t.users[user]; !ok {
			return false
		}
	}
	if t.conns != nil {
		_, ok := t.conns[id]
		return ok
	}
	return true
}

func (t *Tap) put(e TapEvent, payload []byte) {
	if t.payload && payload != nil {
		kept := beginning(payload, e.Binary)
		e.Data, e.Truncated = append([]byte{}, kept...), len(kept) < len(payload)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room.Load() <= 0 {
		t.dropped.Add(1)
		return
	}
	t.room.Add(-1)
	t.taps.events.Add(1)
	t.events = append(t.events, e)
}

// beginning cuts a payload to MaxTapData bytes; text is not cut within a rune.
func beginning(payload []byte, binary bool) []byte {
	if len(payload) <= MaxTapData {
		return payload
	}
	n := MaxTapData
	for !binary && n > MaxTapData-utf8.UTFMax && !utf8.RuneStart(payload[n]) {
		n--
	}
	return payload[:n]
}
