package admin

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/hub"
)

const (
	maxLimit    = 100_000  // connections of one page
	streamBytes = 32 << 10 // of a list that are kept in memory
)

// list streams the connections, grouped by user.
func (s *Server) list(ctx *fasthttp.RequestCtx, t target) outcome {
	q, err := parseQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	at := s.memory.lists.Reserve()
	if !at.Grow(listMemory) {
		at.Release()
		return answerUnparsed(ctx, budget.ErrFull)
	}
	setHead(ctx, jsonType)
	began := time.Now()
	stream := &listStream{
		walk: func(yield func(string, []hub.Info) error) (string, error) { return s.cfg.Hub.List(q, yield) },
		done: func(result outcome, err error) {
			s.done(t.route, result, began)
			if err != nil {
				s.cfg.Log.Debug().Err(err).Msg("a list was cut short")
			}
		},
		panicked: func(p any) { s.logPanic(t.route, p) },
		paged:    q.Limit > 0,
		at:       at,
	}
	if ctx.Request.Header.IsHTTP11() {
		ctx.Response.SetBodyStream(stream, -1) // and fasthttp closes it, written or not
	} else if !wholeList(ctx, stream) {
		answerUnparsed(ctx, budget.ErrFull)
		return streamed // it has been counted
	}
	if ctx.IsHead() {
		return served // the stream is never written
	}
	return streamed
}

// listMemory is what a list takes while it is written: the buffer of the stream, the
// connections of a step, and what fasthttp and the connection's goroutine have.
const listMemory = 128 << 10

// wholeList sets a list as the answer to who speaks HTTP/1.0, which has no chunked
// encoding: it is kept whole. It reports false where there is no room for it.
func wholeList(ctx *fasthttp.RequestCtx, stream *listStream) bool {
	kept := &keptList{at: stream.at}
	if _, err := stream.WriteTo(kept); errors.Is(err, budget.ErrFull) {
		kept.Close()
		return false
	}
	ctx.Response.SetBodyStream(kept, kept.Len())
	return true
}

// keptList is a list that is there as a whole. It has its place until it is sent.
type keptList struct {
	bytes.Buffer
	at *budget.Reservation
}

func (k *keptList) Write(b []byte) (int, error) {
	if more := len(b) + k.Len() - k.Cap(); more > 0 && !k.at.Grow(int64(k.Len()+more)) { // the buffer at most doubles
		return 0, budget.ErrFull
	}
	return k.Buffer.Write(b)
}

// Close is called by fasthttp once the answer is out.
func (k *keptList) Close() error {
	k.at.Release()
	k.at = nil
	return nil
}

var (
	errLimit  = errors.New("limit must be a number from 1 to 100000")
	errRemote = errors.New("remote must be an address, with or without its port, or a range such as 192.0.2.0/24")
)

func parseQuery(query []byte) (hub.Query, error) {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	var q hub.Query
	for _, user := range args.PeekMulti("user") {
		q.Users = append(q.Users, string(user))
	}
	if args.Has("limit") {
		n, err := strconv.ParseUint(string(args.Peek("limit")), 10, 32)
		if err != nil || n == 0 || n > maxLimit {
			return hub.Query{}, errLimit
		}
		q.Limit = int(n)
	}
	q.UserPrefix = string(args.Peek("user_prefix"))
	if args.Has("remote") {
		var ok bool
		if q.Remote, q.RemotePort, ok = parseRemote(string(args.Peek("remote"))); !ok {
			return hub.Query{}, errRemote
		}
	}
	q.Cursor = string(args.Peek("cursor"))
	return q, nil
}

// parseRemote reads who is meant: an address, one with a port as a list shows it, or
// a range.
func parseRemote(text string) (within netip.Prefix, port uint16, ok bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p, 0, true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Prefix{}, 0, false
		}
		addr, port = with.Addr(), with.Port()
	}
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen()), port, true
}

// listStream is a response body that is written as the hub is walked, so that
// no more than streamBytes of it are in memory: while the reader does not read,
// the walk does not go on.
type listStream struct {
	walk     func(yield func(user string, conns []hub.Info) error) (next string, err error)
	done     func(result outcome, err error)
	panicked func(p any)
	paged    bool                // the reader asked for a page, and wants to know where the next one begins
	at       *budget.Reservation // of its memory
}

// Close gives the memory back; fasthttp calls it once the answer is over, whatever
// became of it.
func (l *listStream) Close() error {
	l.at.Release()
	l.at = nil
	return nil
}

var _ fasthttp.BodyWriterTo = (*listStream)(nil)

// SupportsBodyWriteTo tells fasthttp to call WriteTo. It does so on the
// connection's goroutine, and an error there breaks the connection off, so that
// a list cut short does not look like a whole one.
func (l *listStream) SupportsBodyWriteTo() bool { return true }

// Read is never called.
func (l *listStream) Read([]byte) (int, error) { panic("BUG: a list is written, not read") }

var streamBuffers = sync.Pool{New: func() any { return new([streamBytes]byte) }}

// WriteTo writes the answer.
func (l *listStream) WriteTo(w io.Writer) (written int64, err error) {
	result := failed
	defer func() {
		if p := recover(); p != nil {
			l.panicked(p)
			err = errPanicked
		}
		l.done(result, err)
	}()
	array := streamBuffers.Get().(*[streamBytes]byte)
	defer streamBuffers.Put(array)
	out := listWriter{w: w, buf: array[:0]}
	next, err := l.walk(out.conns)
	switch {
	case errors.Is(err, hub.ErrCursor) && !out.begun:
		result = invalid
		out.buf = appendError(out.buf, fasthttp.StatusBadRequest, "cursor is not one that this gateway gave out")
		err = out.flush()
	case err == nil:
		result = served
		if !l.paged {
			next = ""
		}
		err = out.end(next)
	}
	if err != nil {
		result = failed
	}
	return out.written, err
}

var errPanicked = errors.New("admin: the list could not be made")

// listWriter builds the answer's JSON.
type listWriter struct {
	w       io.Writer
	buf     []byte
	written int64
	begun   bool
	user    string // whose array is open
	open    bool
}

func (o *listWriter) begin() {
	if !o.begun {
		o.begun = true
		o.buf = append(append(o.buf, successData...), '[')
	}
}

// conns adds connections of one user. Calls for the same user that follow one
// another become one object.
func (o *listWriter) conns(user string, conns []hub.Info) error {
	if len(conns) == 0 {
		return nil
	}
	o.begin()
	if !o.open || user != o.user {
		if o.open {
			o.buf = append(o.buf, "]},"...)
		}
		o.buf = append(o.buf, `{"name":`...)
		o.buf = appendString(o.buf, user)
		o.buf = append(o.buf, `,"conns":[`...)
		o.user, o.open = user, true
	} else {
		o.buf = append(o.buf, ',')
	}
	for i := range conns {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = appendConn(o.buf, &conns[i], false)
		if len(o.buf) >= streamBytes-1024 {
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end closes what is open.
func (o *listWriter) end(next string) error {
	o.begin()
	if o.open {
		o.buf = append(o.buf, "]}"...)
	}
	o.buf = append(o.buf, ']')
	if next != "" {
		o.buf = append(o.buf, `,"cursor":`...)
		o.buf = appendString(o.buf, next)
	}
	o.buf = append(o.buf, '}')
	return o.flush()
}

func (o *listWriter) flush() error {
	n, err := o.w.Write(o.buf)
	o.written += int64(n)
	o.buf = o.buf[:0]
	return err
}

// appendConn adds a connection as a JSON object, with its user's name where it
// stands alone.
func appendConn(dst []byte, c *hub.Info, withName bool) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, c.ID)
	if withName {
		dst = append(dst, `,"name":`...)
		dst = appendString(dst, c.User)
	}
	dst = append(dst, `,"userAgent":`...)
	dst = appendString(dst, c.UserAgent)
	dst = append(dst, `,"connectedAt":"`...)
	dst = c.ConnectedAt.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","remoteAddr":`...)
	dst = appendString(dst, c.RemoteAddr)
	return append(dst, '}')
}

// timeLayout is RFC 3339 with milliseconds, all of the same width.
const timeLayout = "2006-01-02T15:04:05.000Z"
