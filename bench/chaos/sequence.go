package chaos

import (
	"slices"

	"ws-gateway/bench/contract"
)

// order looks at each connection's events in the order in which they were read: one
// after the other, none before the one before it was settled.
func (a *audit) order() {
	last := make(map[string]*history) // by connection
	at := make(map[string]int)        // the Post in which it came
	for i := range a.Posts {
		p := &a.Posts[i]
		if p.Stale {
			continue
		}
		for _, e := range p.Events {
			h := a.events[e.ID]
			if h == nil || h.Event != e {
				continue // said already
			}
			before, together := last[e.Conn], at[e.Conn] == i
			again := before != nil && !together
			switch {
			case again && nested(&a.Posts[at[e.Conn]], p): // the same again, or a part of it, from its first event on
			case again && rest(&a.Posts[at[e.Conn]], p): // what is left of it: its first events ended without coming alone
				if ended := a.before(h); ended != nil && !ended.settledBy(i) {
					a.misplaced("%s came before %s was settled", h.ID, ended.ID)
				}
			case before != nil && h.seq <= before.seq:
				a.misplaced("%s came after %s", h.ID, before.ID)
			default:
				a.passedOver(before, h)
				if before != nil && !together && !before.settledBy(i) { // those of a batch are settled together
					a.misplaced("%s came before %s was settled", h.ID, before.ID)
				}
			}
			last[e.Conn], at[e.Conn] = h, i
		}
	}
}

func (a *audit) misplaced(format string, args ...any) {
	a.Reordered++
	a.say(format, args...)
}

// settledBy reports whether the gateway may have gone on with the next event when it
// sent Post i.
func (h *history) settledBy(i int) bool {
	if len(h.letters) > 0 {
		return true
	}
	return slices.ContainsFunc(h.attempts, func(at attempt) bool {
		return at.post < i && at.Answer >= MaybeAcked
	})
}

// passedOver looks at events that should have come between two of a connection's:
// they must have been given up.
func (a *audit) passedOver(before, h *history) {
	from := 0
	if before != nil {
		from = before.seq + 1
	}
	for seq := from; seq < h.seq; seq++ {
		if missing := a.conns[h.Conn][seq]; missing == nil || len(missing.letters) == 0 {
			a.misplaced("%s came before event %d of its connection", h.ID, seq+1)
		}
	}
}

// clients holds the events against what the clients did.
func (a *audit) clients() {
	known := make(map[string]bool, len(a.Clients))
	for i := range a.Clients {
		c := &a.Clients[i]
		known[c.User] = true
		conn, heard := a.conn(c)
		switch {
		case c.End == Unheard:
		case c.End == Broken:
			a.say("%s: %s", c.User, c.Trouble)
		case c.End == Never && heard:
			a.say("%s was refused, and the app heard of connection %s", c.User, conn)
		case c.End != Never && !heard:
			a.Lost++
			a.say("%s was connected, and the app never heard of it", c.User)
		case c.End != Never:
			a.connection(c, a.conns[conn])
			a.replies(c)
		}
	}
	for _, user := range sorted(a.ids) {
		if !known[user] {
			a.say("the app heard of %s, who never came", user)
		}
	}
	a.orphans()
}

// conn is a client's connection. heard says that the app has heard of it.
func (a *audit) conn(c *Client) (id string, heard bool) {
	if a.Sessions {
		return c.Conn, a.conns[c.Conn] != nil
	}
	id, heard = a.ids[c.User]
	return id, heard
}

// orphans looks at connections that no client knows: each is of a handshake whose answer was
// lost, so it has no message, and ends for want of a client or when the app closes all of its
// user's.
func (a *audit) orphans() {
	unheard := make(map[string]int)
	for i := range a.Clients {
		if c := &a.Clients[i]; c.End == Unheard {
			unheard[c.User]++
		}
	}
	for _, user := range sorted(a.orphan) {
		conns := a.orphan[user]
		if len(conns) > unheard[user] {
			a.say("the app heard of %d connections of %s that no client knows, and %d handshakes had no answer", len(conns), user, unheard[user])
		}
		for _, conn := range conns {
			c := Client{User: user, End: ByApp, Code: 4001, Session: Session{Closing: true}}
			a.connection(&c, a.conns[conn])
		}
	}
}

// connection holds the events of one connection against the contract, and its messages
// against what the client sent.
func (a *audit) connection(c *Client, events []*history) {
	var life contract.Life
	for seq, h := range events {
		if h == nil {
			a.Lost++ // the next one breaks the contract
			continue
		}
		if !h.accounted() {
			a.Lost++
			a.say("%s is lost: the app has not acknowledged it, and there is no dead letter", h.ID)
		}
		if b := life.Take(contract.KindOf(h.Action), uint64(seq)+1); b != contract.None {
			a.say("event %d of %d of %s, its %s, %v", seq+1, len(events), c.User, h.Action, b)
		}
		if h.Action == "message" && h.Message != seq-1 {
			a.misplaced("%s has the client's message %d", h.ID, h.Message)
		}
	}
	if b := life.End(); b != contract.None {
		a.say("event %d of %[1]d of %s %v", len(events), c.User, b)
	}
	messages := len(events) - 2
	switch {
	case messages > c.Sent:
		a.say("%s sent %d messages, and the app got %d", c.User, c.Sent, messages)
	case messages < c.Acked:
		a.Lost += c.Acked - messages
		a.say("the gateway acknowledged %d messages of %s, and the app got %d", c.Acked, c.User, messages)
	case messages < c.Sent && c.End == Clean:
		a.Lost += c.Sent - messages
		a.say("%s sent %d messages before its close, and the app got %d", c.User, c.Sent, messages)
	}
	if end := events[len(events)-1]; end != nil && end.Action == "close" {
		a.ending(c, end)
	}
}

// ending compares a close event with the close.
func (a *audit) ending(c *Client, h *history) {
	code, initiator := 1006, "network"
	if c.Closing && h.Code == code && h.Initiator == initiator {
		return
	}
	switch c.End {
	case Clean:
		code, initiator = c.Code, "client"
	case ByApp:
		code, initiator = c.Code, "app"
	}
	if h.Code != code || h.Initiator != initiator {
		a.say("%s ended with %d by the %s, and its close event says %d by the %s", c.User, code, initiator, h.Code, h.Initiator)
	}
}

// replies looks at what a client has been sent: answers to its events, each once,
// in order, and none left out before the last.
func (a *audit) replies(c *Client) {
	next := 0
	conn, _ := a.conn(c)
	events := a.conns[conn]
	for _, r := range c.Replies {
		h := a.events[r.Event]
		if !a.Evidence.Replies || h == nil || h.Conn != conn {
			a.say("%s was sent what was not for it: the reply to %s", c.User, r.Event)
			continue
		}
		if h.seq < next {
			a.misplaced("%s was sent the reply to %s twice, or after that to a later event", c.User, h.ID)
			continue
		}
		for ; next < h.seq; next++ {
			if left := events[next]; left != nil && left.mustReply() {
				a.say("%s was sent the reply to %s and not that to %s", c.User, h.ID, left.ID)
			}
		}
		next = h.seq + 1
		if last := h.last(); last == nil || last.Number != r.Attempt {
			a.say("%s was sent the reply to attempt %d at %s, which was not the last", c.User, r.Attempt, h.ID)
		}
	}
}

// mustReply reports whether the event's answer was certain to be seen, and had
// something for the client.
func (h *history) mustReply() bool {
	last := h.last()
	return last != nil && last.Answer == Acked && last.Reply
}
