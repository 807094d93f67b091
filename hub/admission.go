package hub

import (
	"net/netip"
	"time"
	"unique"

	"ws-gateway/forward"
	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
)

// handshakeFields are what the session keeps of the opening handshake.
type handshakeFields struct {
	user    string
	headers string // packed: what goes with the connection's events
	agent   string
	remote  netip.AddrPort
}

// size is how many bytes of the handshake the session keeps.
func (f *handshakeFields) size() int { return len(f.user) + len(f.headers) + len(f.agent) }

// admission is the outcome of enter.
type admission uint8

const (
	admitted    admission = iota
	full                  // MaxConnections
	userFull              // MaxConnectionsPerUser
	addressFull           // MaxConnectionsPerAddress
)

// enter makes the session of a connection, lists it and arms its deadlines.
func (h *Hub) enter(ls *loopState, id netpoll.ID, f handshakeFields) admission {
	limits, slot := ls.settings, id.Slot()
	ls.sessions.Grow(slot)
	s := ls.sessions.At(slot)
	s.Headers, s.Agent, s.Seq, s.Fresh = f.headers, unique.Make(f.agent), 0, false
	s.SetRemote(f.remote)
	if ls.opened != nil {
		ls.opened.Grow(slot)
		*ls.opened.At(slot) = h.clock()
	}
	outcome := h.admit(ls, id, s, f.user, excess{})
	if outcome != admitted {
		outcome = h.admitInstead(ls, id, s, f.user)
	}
	if outcome != admitted {
		s.Release()
		return outcome
	}
	ls.open++
	ls.heads.Add(int64(f.size()))
	if ls.buckets != nil {
		ls.buckets.Grow(slot)
		*ls.buckets.At(slot) = buckets{}
	}
	ls.deadlines.Set(slot, ls.deadline())
	if limits.serverPing > 0 {
		ls.pings.Set(slot, ls.firstPing(slot))
	}
	if h.tapped() {
		h.show(ls, id, TapEvent{Action: TapOpen, RemoteAddr: string(directory.AppendAddr(nil, f.remote))}, nil)
	}
	return admitted
}

// excess is how many more may be counted than limits say: so many are about to end.
type excess struct{ open, user, address int }

// admit counts a session and lists it, if no limit is reached.
func (h *Hub) admit(ls *loopState, id netpoll.ID, s *directory.Session, user string, more excess) admission {
	limits, slot := ls.settings, id.Slot()
	if limits.maxConnections == 0 {
		h.open.Add(1)
	} else if !h.reserve(int64(limits.maxConnections + more.open)) {
		return full
	}
	if ls.counts(slot) && !limits.addresses.join(s.Addr(), limits.maxConnectionsPerAddress+more.address) {
		h.open.Add(-1)
		return addressFull
	}
	perUser := limits.maxConnectionsPerUser
	if perUser > 0 {
		perUser += more.user
	}
	if !h.directory.Join(id, s, user, perUser, time.Now().UnixNano()) {
		h.depart(ls, slot, s.Addr())
		return userFull
	}
	return admitted
}

// reserve counts a connection in, unless there are limit already.
func (h *Hub) reserve(limit int64) bool {
	for {
		open := h.open.Load()
		if open >= limit {
			return false
		}
		if h.open.CompareAndSwap(open, open+1) {
			return true
		}
	}
}

// depart counts a connection out.
func (h *Hub) depart(ls *loopState, slot uint32, addr netip.Addr) {
	if ls.counts(slot) {
		ls.settings.addresses.leave(addr)
	}
	h.open.Add(-1)
}

// exit undoes enter.
func (h *Hub) exit(ls *loopState, id netpoll.ID) {
	slot := id.Slot()
	s := ls.sessions.At(slot)
	ls.deadlines.Clear(slot)
	ls.paused.Clear(slot)
	ls.pings.Clear(slot)
	if s.Groups != 0 {
		ls.grouping.left(ByClose, ls.groups, ls.groups.LeaveAll(slot))
	}
	h.unlist(ls, id, s)
	ls.heads.Add(-int64(s.Kept()))
	s.Release()
	ls.open--
}

// unlist undoes admit. For a session that is away it is one step for those who look for room.
func (h *Hub) unlist(ls *loopState, id netpoll.ID, s *directory.Session) {
	if s.Away() {
		h.room.lock()
		defer h.room.mu.Unlock()
		h.noLongerAwayLocked(ls, id.Slot())
	}
	h.directory.Leave(id, s)
	h.depart(ls, id.Slot(), s.Addr())
}

// deadline is the tick by which the client must be heard again. now is rounded down
// to the second: one more makes sure that the whole timeout passes.
func (ls *loopState) deadline() uint32 { return ls.now + ls.settings.pingTimeout + 1 }

// source describes the next event of a connection. The loop's next call of source
// overwrites its ConnID.
func (ls *loopState) source(h *Hub, id netpoll.ID) forward.Source {
	s := ls.sessions.At(id.Slot())
	s.Seq++
	fresh := s.Fresh
	s.Fresh = false
	return forward.Source{
		Key: uint64(id), Seq: s.Seq,
		ConnID: h.instance.appendID(ls.connID[:0], id),
		User:   s.User, Headers: s.Headers, Fresh: fresh,
	}
}
