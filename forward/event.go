package forward

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"ws-gateway/forward/callback"
	"ws-gateway/forward/headers"
	"ws-gateway/hub/meta"
)

// action is what an event tells the app.
type action uint8

const (
	actionOpen action = iota
	actionMessage
	actionClose
	actionResumed
	actions
)

var actionNames = [actions]string{"open", "message", "close", "resumed"}

func (a action) String() string { return actionNames[a] }

// bounded reports whether events of this kind count for the bounds of their lane: a client
// can make any number of them, and can be asked to stop.
func (a action) bounded() bool { return a == actionMessage || a == actionResumed }

// event is one thing to tell the app. Until it is in a lane it belongs to whoever made
// it; then its lane guards it.
type event struct {
	next *event // the one after it in its lane

	cookie  string // part of the session's own string, shared
	headers string // likewise
	buf     []byte // the body, without metadata, then the request id, which begins with the connection's
	body    int    // length of the body in buf

	queued time.Duration // when it was appended
	window time.Duration // when retrying ends; 0 until it was first attempted or parked

	attempts int
	meta     *meta.Value // the connection's metadata when e was first attempted; see equip
	conn     uint32      // length of the connection's id in the request id
	action   action
	fresh    bool    // has headers of its own, which count
	redialed bool    // has had its one retry without back-off
	outcome  Outcome // in a batch, what became of it; see share.done
	equipped bool    // meta is set
	lost     bool    // the close of a connection whose gateway died, which has a place in Forwarder.lost
}

func (e *event) bodyBytes() []byte { return e.buf[:e.body] }
func (e *event) requestID() []byte { return e.buf[e.body:] }
func (e *event) connID() []byte    { return e.buf[e.body:][:e.conn] }

// request is the POST of e by itself.
func (e *event) request() callback.Request {
	p := callback.Request{ID: e.requestID(), Attempt: e.attempts, Cookie: e.cookie, Headers: e.headers}
	p.Body, p.Tail = e.parts()
	return p
}

// parts are the body as it is POSTed, the tail being all that metadata makes of its end.
func (e *event) parts() (body []byte, tail string) {
	body = e.bodyBytes()
	if e.meta == nil {
		return body, ""
	}
	return body[:len(body)-len(`}`)], e.meta.Member()
}

// cost is the memory that the event holds, in bytes. Its cookie and headers count as
// the lane's, unless they are fresh.
func (e *event) cost() int64 {
	cost := int64(unsafe.Sizeof(*e)) + int64(cap(e.buf))
	if e.fresh {
		cost += int64(len(e.cookie) + len(e.headers))
	}
	return cost
}

const (
	minClass   = 8  // the smallest pooled buffer has 1<<8 bytes
	maxClass   = 15 // the largest one has 1<<15; anything larger is left to the collector
	numClasses = maxClass - minClass + 1
)

// eventPool keeps events and their buffers for reuse. It sorts them by the size of the
// buffer, so that a small event never holds a large one while it waits.
type eventPool struct {
	levels  int          // Config.JSONDepth, see depth
	newer   atomic.Int64 // the same after a reload; 0: there was none
	classes [numClasses]sync.Pool
}

// get returns an event whose empty buffer has room for size bytes.
func (p *eventPool) get(size int) *event {
	if class := classOf(size); class <= maxClass {
		if e, ok := p.classes[class-minClass].Get().(*event); ok {
			return e
		}
	}
	return newEvent(size)
}

// classOf is the class of the smallest buffer that has room for size bytes.
func classOf(size int) int { return max(bits.Len(uint(size-1)), minClass) }

// newEvent is get without a pool.
func newEvent(size int) *event {
	if class := classOf(size); class <= maxClass {
		size = 1 << class
	}
	return &event{buf: make([]byte, 0, size)}
}

// put takes back an event that nothing refers to.
func (p *eventPool) put(e *event) {
	class := bits.Len(uint(cap(e.buf) - 1))
	if class < minClass || class > maxClass || cap(e.buf) != 1<<class {
		return
	}
	*e = event{buf: e.buf[:0]}
	p.classes[class-minClass].Put(e)
}

// depth is the Config.JSONDepth in force.
func (p *eventPool) depth() int {
	if n := p.newer.Load(); n > 0 {
		return int(n)
	}
	return p.levels
}

func (p *eventPool) open(src *Source, req *Request) *event {
	e := p.get(openSize(src, req))
	e.buf = appendOpen(e.buf, src, req)
	return e.complete(src, actionOpen)
}

func (p *eventPool) message(src *Source, data []byte, binary bool) *event {
	f := formOf(data, binary, p.depth())
	e := p.get(messageSize(src, data, f))
	e.buf = appendMessage(e.buf, src, data, f)
	return e.complete(src, actionMessage)
}

func (p *eventPool) close(src *Source, end *End) *event {
	e := p.get(closeSize(src, end))
	e.buf = appendClose(e.buf, src, end)
	return e.complete(src, actionClose)
}

func (p *eventPool) resumed(src *Source, away time.Duration) *event {
	e := p.get(sourceSize(src) + resumedText)
	e.buf = appendResumed(e.buf, src, away)
	return e.complete(src, actionResumed)
}

func (e *event) complete(src *Source, a action) *event {
	e.body, e.conn = len(e.buf), uint32(len(src.ConnID))
	e.buf = appendRequestID(e.buf, src)
	e.action, e.fresh = a, src.Fresh
	e.cookie, e.headers = headers.Unpack(src.Headers)
	return e
}
