package netpoll

import (
	"unicode/utf8"

	"github.com/gobwas/ws"

	"ws-gateway/netpoll/wire"
)

// decode takes bytes of an open or closing connection: it finds the frames, unmasks
// them in place, and delivers complete messages. b is overwritten.
//
// A frame that lies in b as a whole is not copied. The part of any other frame is
// unmasked, checked and kept in the inbox. Decoding stops when reading does.
func (c *Conn) decode(b []byte) {
	for len(b) > 0 && (c.state == stateOpen || c.state == stateClosing) {
		if c.pause != 0 {
			c.postpone(b)
			return
		}
		if in := c.in; in != nil && in.inFrame {
			b = c.payload(in, b)
			continue
		}
		h, rest, ok := c.header(b)
		if !ok {
			return
		}
		if h.OpCode == ws.OpClose && c.state == stateOpen && c.takesTurns(b, rest) {
			return
		}
		b = rest
		if !c.admit(&h) {
			return
		}
		if h.Length > int64(len(b)) || c.state == stateClosing {
			in := c.loop.inboxOf(c)
			in.inFrame, in.frame, in.got = true, h, 0
			if h.Length == 0 { // no payload will follow that could end it
				c.payload(in, nil)
			}
			continue
		}
		payload := b[:h.Length]
		b = b[h.Length:]
		ws.Cipher(payload, h.Mask, 0)
		c.whole(&h, payload)
	}
	if len(b) > 0 && c.state == stateLingering {
		c.thenClose = false // closing with unread input would reset what we sent
		return
	}
	if c.in != nil && c.in.idle() {
		c.loop.putInbox(c)
	}
}

// postpone keeps b until the connection is read again.
func (c *Conn) postpone(b []byte) {
	in := c.loop.inboxOf(c)
	in.postponed = append([]byte(nil), b...)
	c.chargeMessage()
}

// decodePostponed decodes what postpone has kept.
func (c *Conn) decodePostponed() {
	if c.in != nil && len(c.in.postponed) > 0 {
		c.decode(c.takePostponed())
	}
}

// header decodes the next frame header, which may have begun in an earlier read.
// ok is false if it is not complete, or if it broke a rule and the connection has
// been closed.
func (c *Conn) header(b []byte) (h ws.Header, rest []byte, ok bool) {
	src, before := b, 0
	if in := c.in; in != nil && in.hdrLen > 0 {
		before = in.hdrLen
		in.hdrLen += copy(in.hdr[before:], b)
		src = in.hdr[:in.hdrLen]
	}
	h, n, v := wire.DecodeHeader(src, c.deflate.Agreed())
	switch {
	case v != nil:
		c.violated(v)
		return h, nil, false
	case n == 0:
		if before == 0 {
			in := c.loop.inboxOf(c)
			in.hdrLen = copy(in.hdr[:], b)
		}
		return h, nil, false
	}
	if before > 0 {
		c.in.hdrLen = 0
	}
	return h, b[n-before:], true
}

// admit checks whether the frame fits the message under way and the size limit, and
// reports it to the Handler. It returns false if no more is to be decoded.
func (c *Conn) admit(h *ws.Header) bool {
	if c.state == stateClosing || h.OpCode.IsControl() {
		return true
	}
	c.loop.stats.FramesIn++
	underway, size, limit := false, int64(0), c.loop.cfg.MaxMessageSize
	if c.in != nil && c.in.op != 0 {
		underway, size = true, int64(len(c.in.msg))
	}
	if c.resume != 0 {
		limit++ // for an escape
	}
	if h.Rsv1() || underway && c.in.packed {
		limit += limit>>8 + 64 // DEFLATE may add so much to a message that it cannot shorten
	}
	switch {
	case h.OpCode == ws.OpContinuation && !underway:
		c.Close(ProtocolError, ws.StatusProtocolError, "continuation frame without a message to continue")
		return false
	case h.OpCode != ws.OpContinuation && underway:
		c.Close(ProtocolError, ws.StatusProtocolError, "new message before the end of the one under way")
		return false
	case h.Length > limit-size:
		c.tooBig()
		return false
	}
	c.proveTransport()
	c.loop.handler.Frame(c, h.OpCode)
	return c.state == stateOpen || c.state == stateClosing // behind this frame the peer's close frame will come
}

// whole handles a frame whose payload, unmasked, lies in the read buffer.
func (c *Conn) whole(h *ws.Header, payload []byte) {
	switch {
	case h.OpCode.IsControl():
		c.control(h.OpCode, payload)
	case h.Fin && h.OpCode != ws.OpContinuation:
		if h.Rsv1() {
			c.deliverPacked(h.OpCode, payload)
			return
		}
		if h.OpCode == ws.OpText && !utf8.Valid(payload) {
			c.notUTF8()
			return
		}
		c.deliver(h.OpCode, payload)
	default:
		in := c.loop.inboxOf(c)
		in.begin(h)
		if c.collect(in, payload, 0) && h.Fin {
			c.complete(in)
		}
	}
}

// payload takes what b has of the frame under way, and returns the rest.
func (c *Conn) payload(in *inbox, b []byte) []byte {
	h := &in.frame
	n := min(h.Length-in.got, int64(len(b)))
	p := b[:n]
	ws.Cipher(p, h.Mask, int(in.got&3))
	in.got += n
	done := in.got == h.Length
	if done {
		in.inFrame = false
	}
	switch {
	case h.OpCode.IsControl():
		in.control = append(in.control, p...)
		if done {
			control := in.control
			in.control = in.control[:0]
			c.control(h.OpCode, control)
		}
	case c.state == stateClosing: // messages are not delivered any more
	default:
		in.begin(h)
		if c.collect(in, p, h.Length-in.got) && done && h.Fin {
			c.complete(in)
		}
	}
	return b[n:]
}

// collect appends p to the message under way; missing bytes of its frame have not
// arrived. It closes the connection and returns false as soon as p shows that the
// text cannot become valid UTF-8.
func (c *Conn) collect(in *inbox, p []byte, missing int64) bool {
	if in.op == ws.OpText && !in.packed && !in.text.Feed(p) {
		c.notUTF8()
		return false
	}
	c.extend(p, missing)
	return true
}

// complete delivers the message that has been collected.
func (c *Conn) complete(in *inbox) {
	switch {
	case in.packed:
		c.deliverPacked(in.op, in.msg)
	case in.op == ws.OpText && !in.text.Done():
		c.notUTF8()
		return
	default:
		c.deliver(in.op, in.msg)
	}
	if c.state == stateOpen { // otherwise end has dropped it
		c.dropMessage()
	}
}

func (c *Conn) deliver(op ws.OpCode, payload []byte) {
	if c.resume != 0 && !c.take(op, &payload) {
		return
	}
	c.loop.stats.MessagesIn++
	c.loop.handler.Message(c, op, payload)
}

// deliverPacked delivers a compressed message (RFC 7692, 7.2.2).
func (c *Conn) deliverPacked(op ws.OpCode, payload []byte) {
	l := c.loop
	limit := l.cfg.MaxMessageSize
	if c.resume != 0 {
		limit++ // for an escape
	}
	out, err := l.inflater.Append(l.inflated[:0], payload, limit)
	if l.inflated = out; cap(out) > maxPooledData {
		l.inflated = nil
	}
	switch {
	case err == wire.ErrInflatedTooBig:
		c.tooBig()
	case err != nil:
		c.Close(ProtocolError, ws.StatusProtocolError, "message is not DEFLATE data")
	case op == ws.OpText && !utf8.Valid(out):
		c.notUTF8()
	default:
		c.deliver(op, out)
	}
}

// control handles a control frame (RFC 6455, 5.5).
func (c *Conn) control(op ws.OpCode, payload []byte) {
	if op == ws.OpClose {
		c.peerCloses(payload)
		return
	}
	if c.state != stateOpen {
		return
	}
	c.loop.stats.FramesIn++
	c.proveTransport()
	if op == ws.OpPing && !c.Reply(ws.OpPong, payload) {
		return
	}
	c.loop.handler.Frame(c, op)
}

// peerCloses handles a close frame. It answers ours, or begins the close handshake
// (RFC 6455, 5.5.1); then our answer repeats its code.
func (c *Conn) peerCloses(payload []byte) {
	if c.state == stateClosing {
		c.loop.farewells.forget(c.ID())
		c.state, c.thenClose = stateLingering, true
		if c.out == nil && c.loop.corked != c {
			c.destroy(false)
		}
		return
	}
	code, reason, v := wire.ParseClosePayload(payload)
	if v != nil {
		c.violated(v)
		return
	}
	c.thenClose = true
	c.end(stateLingering, End{Cause: PeerClosed, Code: code, Reason: reason})
	c.finish(newCloseFrame(code, ""))
}

func (c *Conn) notUTF8() {
	c.Close(InvalidUTF8, ws.StatusInvalidFramePayloadData, "text is not valid UTF-8")
}

func (c *Conn) tooBig() {
	c.Close(MessageTooBig, ws.StatusMessageTooBig, c.loop.tooBig)
}

// violated closes the connection for a frame that breaks the protocol.
func (c *Conn) violated(v *wire.Violation) {
	if c.state == stateClosing { // there is no second close frame; the first may not be written yet
		c.state = stateLingering
		if c.out == nil && c.loop.corked != c {
			c.flushed()
		}
		return
	}
	cause := ProtocolError
	if v.Code == ws.StatusInvalidFramePayloadData {
		cause = InvalidUTF8
	}
	c.Close(cause, v.Code, v.Reason)
}
