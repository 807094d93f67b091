package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Resumable sessions, from the client's side (docs/protocol.md).
const (
	resumable   = "ws-gateway.resume.v1" // the subprotocol
	unresumable = "ws-gateway.plain.v1"  // for a gateway that selects the first of those offered

	sessionMark = "\x1e" // begins messages about the session

	ackAfter     = time.Second
	ackMessages  = 32
	ackBytes     = 32 << 10
	maxKept      = 1000 // messages; above, no more lines are read
	maxKeptBytes = 16 << 20
)

// message is one of the user's.
type message struct {
	kind websocket.MessageType
	data []byte
}

// greeting is the first message of a connection in a session.
type greeting struct {
	Resumed  bool   `json:"resumed"`
	ID       string `json:"id"`
	Token    string `json:"token"`
	For      int    `json:"for"` // seconds
	Received uint64 `json:"received"`
}

// session is what outlives a connection: what each side has of the other's messages. It
// knows of no connection.
type session struct {
	id, token string
	keptFor   time.Duration // by the gateway, while there is no connection
	received  uint64        // messages of the gateway
	confirmed uint64        // of ours, how many the gateway has
	kept      []message     // ours after those
	keptBytes int
	handed    int // of kept, how many were written to a connection

	// Since the last acknowledgement, of both sides.
	messages, bytes int
}

// offer is what a handshake offers. s is nil before there is a session.
func (s *session) offer(own []string) []string {
	offer := slices.Clone(own)
	if len(offer) == 0 {
		offer = append(offer, unresumable)
	}
	offer = append(offer, resumable)
	if s != nil {
		offer = append(offer, fmt.Sprintf("%s.%s.%d", resumable, s.token, s.received))
	}
	return offer
}

func parseGreeting(kind websocket.MessageType, data []byte) (g greeting, err error) {
	text, marked := strings.CutPrefix(string(data), sessionMark)
	if kind != websocket.MessageText || !marked || json.Unmarshal([]byte(text), &g) != nil || g.Token == "" {
		return g, fmt.Errorf("the gateway selects %s, but does not greet", resumable)
	}
	return g, nil
}

// begin takes the greeting of a connection. If the session before has ended it returns
// those of its messages that may have arrived or not.
func (s *session) begin(g greeting) (lost []message, err error) {
	if g.Resumed && (s.token == "" || g.Received < s.confirmed) {
		return nil, errors.New("the gateway resumes what was not there")
	}
	if !g.Resumed {
		lost = s.kept[:s.handed]
		s.received, s.confirmed = 0, 0
		s.forget(s.handed)
	}
	s.id, s.token, s.keptFor = g.ID, g.Token, time.Duration(g.For)*time.Second
	s.messages, s.bytes = 0, 0
	if err := s.confirm(g.Received); err != nil {
		return lost, err
	}
	s.handed = 0
	return lost, nil
}

// confirm notes that the gateway has n messages.
func (s *session) confirm(n uint64) error {
	if n > s.confirmed+uint64(s.handed) {
		return fmt.Errorf("the gateway has %d messages, but only %d were sent", n, s.confirmed+uint64(s.handed))
	}
	if n > s.confirmed {
		s.forget(int(n - s.confirmed))
		s.confirmed = n
	}
	return nil
}

func (s *session) forget(n int) {
	for _, m := range s.kept[:n] {
		s.keptBytes -= len(m.data)
	}
	s.kept = slices.Clone(s.kept[n:])
	s.handed -= n
}

// full reports whether no more can be kept.
func (s *session) full() bool { return len(s.kept) >= maxKept || s.keptBytes >= maxKeptBytes }

func (s *session) keep(m message) {
	s.kept = append(s.kept, m)
	s.keptBytes += len(m.data)
}

// next returns the next message to be written, as it is on the wire.
func (s *session) next() (m message, ok bool) {
	if s.handed == len(s.kept) {
		return m, false
	}
	m = s.kept[s.handed]
	s.handed++
	if isMarked(m.kind, m.data) {
		m.data = append([]byte(sessionMark), m.data...)
	}
	return m, true
}

// take takes what has come: a message, which it counts, or news about the session.
func (s *session) take(a *arrival) (isMessage bool, err error) {
	if !isMarked(a.kind, a.data) {
		s.received++
		return true, nil
	}
	if rest := a.data[len(sessionMark):]; isMarked(a.kind, rest) {
		a.data = rest
		s.received++
		return true, nil
	} else if n, err := strconv.ParseUint(string(rest), 10, 64); err == nil {
		return false, s.confirm(n)
	}
	return false, fmt.Errorf("the gateway says %q, which means nothing", a.data)
}

func isMarked(kind websocket.MessageType, data []byte) bool {
	return kind == websocket.MessageText && strings.HasPrefix(string(data), sessionMark)
}

// passed counts a message of either side. It reports whether to acknowledge at once.
func (s *session) passed(bytes int) (now bool) {
	s.messages++
	s.bytes += bytes
	return s.messages >= ackMessages || s.bytes >= ackBytes
}

// acknowledgement is what says how much has come.
func (s *session) acknowledgement() []byte {
	s.messages, s.bytes = 0, 0
	return strconv.AppendUint([]byte(sessionMark), s.received, 10)
}
