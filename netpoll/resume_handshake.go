package netpoll

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// Missed is why a client that wanted to resume a session got a new one.
type Missed uint8

const (
	MissedToken Missed = iota // not a token of this server and this user
	MissedGone                // the session has ended, or a newer token of it is in use
	MissedGap                 // the client would not get all messages
	misses
)

// Misses is how many there are.
const Misses = int(misses)

// String returns the name in metrics.
func (m Missed) String() string { return [misses]string{"token", "gone", "gap"}[m] }

// resumes reports whether connections can be resumed.
func (cfg *Config) resumes() bool { return cfg.ResumeFor > 0 && cfg.Resumer != nil }

// sealer makes the MACs of tokens and greetings, in buffers of its own: thousands of clients
// may come at once.
type sealer struct {
	mac       hash.Hash // nil before the first token
	sum       []byte
	id, token []byte
}

// seal is the MAC of a token.
func (l *Loop) seal(id []byte, turn uint32, user []byte) (mac [wire.MACBytes]byte) {
	s := &l.sealer
	if s.mac == nil {
		s.mac = hmac.New(sha256.New, l.srv.resumeKey[:])
	}
	s.mac.Reset()
	s.mac.Write(id) // always of the same length
	s.sum = binary.BigEndian.AppendUint32(s.sum[:0], turn)
	s.mac.Write(s.sum)
	s.mac.Write(user)
	s.sum = s.mac.Sum(s.sum[:0])
	copy(mac[:], s.sum)
	return mac
}

// greet is the response to a handshake, which is l.request, with the first message of the
// transport behind it. id and r are the session's. It is valid until the next call.
func (l *Loop) greet(id ID, r *resumable, response []byte, resumed bool, protocol string) []byte {
	resumer, s := l.cfg.Resumer, &l.sealer
	s.id = resumer.AppendID(s.id[:0], id)
	token := wire.ResumeToken{ID: s.id, Turn: r.turn, MAC: l.seal(s.id, r.turn, resumer.Identity(l, &l.request))}
	s.token = token.AppendTo(s.token[:0])
	g := wire.Greeting{
		Resumed: resumed, ID: s.id, Token: s.token, Protocol: protocol, Received: r.received,
		Seconds: max(1, int64(l.cfg.ResumeFor/time.Second)),
	}
	l.scratch = g.AppendTo(l.scratch[:0])
	l.response = wire.AppendFrameHeader(append(l.response[:0], response...), ws.OpText, len(l.scratch))
	l.response = append(l.response, l.scratch...)
	return l.response
}

// answeredOffer answers a handshake, which is l.request, if it needs no new session: its client
// goes on with one that it has, or has hung up. For one that has nothing is done: it may have
// come back on another connection, which must stay, and nobody could come back to a new
// session, which would be there until Config.ResumeFor is over.
func (l *Loop) answeredOffer(c *Conn, o *wire.ResumeOffer, deflate wire.DeflateParams, extensions string, head, rest []byte) bool {
	switch {
	case hungUp(c.fd):
		c.destroy(false)
		return true
	case o.Token != nil:
		return l.resume(c, o, deflate, extensions, head, rest)
	case o.Unreadable:
		return l.missed(MissedToken)
	default:
		return false
	}
}

// resume answers a handshake, which is l.request, that brings the token of a session. It
// returns false if the client is to get a new session.
func (l *Loop) resume(c *Conn, o *wire.ResumeOffer, deflate wire.DeflateParams, extensions string, head, rest []byte) (answered bool) {
	token, id, ok := l.readToken(o)
	if ok && id.Loop() != l.index {
		l.moveTo(l.srv.loops[id.Loop()], c, head, rest)
		return true
	}
	if !ok && !l.mayRelay(token.ID) {
		return l.missed(MissedToken)
	}
	if v := l.cfg.Resumer.Admit(l, &l.request); v.Status != 0 {
		l.carryOut(c, v, deflate, extensions, rest)
		return true
	}
	if !ok {
		return l.relay(c, &token, head, rest) || l.missed(MissedToken)
	}
	if f := l.farewells.find(id); f != nil && f.knows(token.Turn) {
		l.sayFarewell(c, id, f, o.Received, rest)
		return true
	}
	session := l.Lookup(id)
	if session == nil || session.resume == 0 || !session.record().knows(token.Turn) {
		return l.missed(MissedGone)
	}
	if r := session.record(); !r.whole() || o.Received < r.acked() || o.Received > r.sent {
		session.abandoned()
		return l.missed(MissedGap)
	}
	session.record().used(token.Turn)
	l.attach(session, c, o.Received, deflate, extensions, rest)
	return true
}

// readToken reads the token that a handshake, which is l.request, offers, and the id in it.
// ok is false unless it is a token of this server and this user.
func (l *Loop) readToken(o *wire.ResumeOffer) (token wire.ResumeToken, id ID, ok bool) {
	if token, ok = wire.ParseResumeToken(o.Token); !ok {
		return wire.ResumeToken{}, 0, false
	}
	resumer := l.cfg.Resumer
	if id, ok = resumer.ParseID(token.ID); !ok || id.Loop() >= len(l.srv.loops) {
		return token, 0, false
	}
	mac := l.seal(token.ID, token.Turn, resumer.Identity(l, &l.request))
	return token, id, hmac.Equal(mac[:], token.MAC[:])
}

func (l *Loop) missed(why Missed) (answered bool) {
	l.stats.ResumesMissed[why]++
	return false
}

// abandoned ends a connection whose client has come back and cannot resume it.
func (c *Conn) abandoned() {
	if c.state == stateAway {
		c.endAway(End{Cause: Disconnected, Code: statusAbnormal})
		return
	}
	c.end(stateLingering, End{Cause: Disconnected, Code: statusAbnormal})
	c.destroy(false)
}

// maxMoving is how many handshakes may be on their way to a loop.
const maxMoving = 1024

// moveTo gives a handshake to the loop of the session that it wants to resume, which
// answers it. head and rest are all that has been read.
func (l *Loop) moveTo(to *Loop, c *Conn, head, rest []byte) {
	read := make([]byte, 0, len(head)+len(rest))
	read = append(append(read, head...), rest...)
	peer, since, end := c.in.peer, c.in.since, len(head)
	c.detach()
	fd := c.fd
	c.release()
	if to.moving.Add(1) <= maxMoving {
		err := to.PostContext(atOnce, func(l *Loop) bool {
			l.moving.Add(-1)
			l.takeOver(fd, peer, since, read, end)
			return false
		})
		if err == nil {
			return
		}
	}
	to.moving.Add(-1)
	l.stats.Refused++
	turnAway(fd, tooManyMove, time.Second)
}

// takeOver answers a handshake that another loop has read.
func (l *Loop) takeOver(fd int32, peer netip.AddrPort, since time.Time, read []byte, end int) {
	c := l.newConn(fd)
	if c == nil {
		return
	}
	in := l.inboxOf(c)
	in.peer, in.since, in.head = peer, since, read
	c.chargeHead()
	l.await(c, handshakeDeadline)
	l.request.Remote = peer
	l.answerHead(c, read[:end], read[end:])
}
