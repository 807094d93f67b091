package cluster

import (
	"context"
	"sync"
	"time"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
)

// letter is what others want of the router.
type letter struct {
	to      *packet.Instance // nil: all members
	kind    packet.Kind
	request uint64 // of an Answer
	content *stream.Content
	bytes   int           // of content
	names   addressed     // whom it is for
	at      time.Duration // with names: when the call was made, or later, and never before
	call    *pending      // nil: nobody waits for answers
	forget  *pending      // instead of all else: it waits no more

	shares map[packet.Instance]*stream.Content // nil: content is for all; otherwise, what each gets, and nobody else
}

// concerns reports whether it is for a member at all, as far as the letter says.
func (l *letter) concerns(id packet.Instance) bool {
	switch {
	case l.shares != nil:
		return l.shares[id] != nil
	case l.to != nil:
		return *l.to == id
	}
	return true
}

// changes reports whether it is a call that does something to connections.
func (l *letter) changes() bool {
	switch l.kind {
	case call.Send, call.Close, call.Join, call.Leave, call.SetMeta:
		return true
	}
	return false
}

// mostLetters is how many wait at most.
const mostLetters = 4096

// mailbox is what waits for the router. Whoever posts waits for room.
type mailbox struct {
	wake  chan struct{} // has a value after a letter was posted
	limit int           // bytes

	mu      sync.Mutex // guards following
	letters []letter
	bytes   int
	room    chan struct{} // closed when the router has taken the letters
}

func newMailbox(limit int) *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), limit: limit, room: make(chan struct{})}
}

// post returns nil, or ctx's error.
func (m *mailbox) post(ctx context.Context, l letter) error {
	for {
		room, posted := m.try(l)
		if posted {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *mailbox) try(l letter) (room chan struct{}, posted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.letters) >= mostLetters || m.bytes > 0 && m.bytes+l.bytes > m.limit {
		return m.room, false
	}
	m.letters = append(m.letters, l)
	m.bytes += l.bytes
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return nil, true
}

// take returns all letters in place of those before.
func (m *mailbox) take(before []letter) (letters []letter) {
	clear(before)
	m.mu.Lock()
	defer m.mu.Unlock()
	letters, m.letters = m.letters, before[:0]
	m.bytes = 0
	if len(letters) > 0 {
		close(m.room)
		m.room = make(chan struct{})
	}
	return letters
}
