package admin

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/forward"
	"ws-gateway/hub"
)

const (
	usualEventRate   = 100  // events a second
	highestEventRate = 1000 // events a second

	eventTurn       = 100 * time.Millisecond // how often a stream looks for events
	droppedEvery    = time.Second            // how often a stream says how many were left out
	usualHeartbeats = 10 * time.Second       // without a line

	longestEventWrite = 10 * time.Second
)

// events streams what happens to connections, a JSON object a line:
//
//	{"time":"…","action":"open","user_name":"alice","conn_id":"…","remote_addr":"…"}
//	{"time":"…","action":"message","user_name":"alice","conn_id":"…","size":17}
//	{"time":"…","action":"close","user_name":"alice","conn_id":"…","code":1001,"reason":"","initiator":"client"}
//	{"dropped":120}
//	{"time":"…","action":"heartbeat"}
//
// The actions are open, message, ping (the client's ping message; only where it is
// asked for), send and close. ?user=, ?conn_id= and ?action=, each repeatable,
// select; ?payload=1 adds data and, as in callbacks, its encoding, cut at 1 KiB
// with truncated; ?rate= is how many a second are sent on average, and in one go,
// at most. What is over it, or over what the reader takes, is counted and left out,
// evenly or not. The stream begins with a heartbeat, and there is one after 10 s
// without a line. It ends with the reader, with the gateway, and when the reader
// takes nothing for 10 s.
func (s *Server) events(ctx *fasthttp.RequestCtx, t target) outcome {
	q, err := parseEventQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	if !ctx.Request.Header.IsHTTP11() {
		return answerRefusal(ctx, refusal{fasthttp.StatusHTTPVersionNotSupported, "a stream of events needs HTTP/1.1"}, false)
	}
	ctx.SetConnectionClose()
	if ctx.IsHead() {
		return answer(ctx, linesType, nil)
	}
	revoked, no := s.letIn(ctx, t.route)
	if no.Status != 0 {
		return answerRefusal(ctx, no, false)
	}
	tap, err := s.cfg.Hub.Tap(q.filter)
	if err != nil {
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "too many streams of events are open, " + strconv.Itoa(hub.MaxTaps) + " at most: end another one"}, false)
	}
	setHead(ctx, linesType)
	ctx.Response.SetBodyStream(&eventStream{server: s, route: t.route, tap: tap, conn: ctx.Conn(), rate: q.rate, revoked: revoked}, -1)
	return streamed
}

type eventQuery struct {
	filter hub.TapFilter
	rate   int
}

var errEventRate = errors.New("rate must be a number of events a second from 1 to " + strconv.Itoa(highestEventRate))

func parseEventQuery(query []byte) (eventQuery, error) {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	q := eventQuery{rate: usualEventRate}
	for _, user := range args.PeekMulti("user") {
		q.filter.Users = append(q.filter.Users, string(user))
	}
	for _, id := range args.PeekMulti("conn_id") {
		if len(id) == 0 {
			return eventQuery{}, errors.New("conn_id is empty: name a connection, or leave it out")
		}
		q.filter.Conns = append(q.filter.Conns, string(id))
	}
	for _, name := range args.PeekMulti("action") {
		a, ok := hub.ParseTapAction(string(name))
		if !ok {
			return eventQuery{}, errors.New("action must be open, message, ping, send or close")
		}
		q.filter.Actions = append(q.filter.Actions, a)
	}
	if args.Has("payload") {
		switch string(args.Peek("payload")) {
		case "1", "true":
			q.filter.Payload = true
		case "0", "false":
		default:
			return eventQuery{}, errors.New("payload must be 1 or 0")
		}
	}
	if args.Has("rate") {
		n, err := strconv.Atoi(string(args.Peek("rate")))
		if err != nil || n < 1 || n > highestEventRate {
			return eventQuery{}, errEventRate
		}
		q.rate = n
	}
	return q, nil
}

// eventStream is a response body that is written for as long as there are events
// and somebody who reads them. It owns its tap.
type eventStream struct {
	server *Server
	route  *route
	tap    *hub.Tap
	conn   net.Conn
	rate   int

	revoked <-chan struct{} // another token is in force

	events  []hub.TapEvent
	lines   []byte
	owed    time.Duration // of a share of the rate
	dropped uint64        // not yet said
	written time.Time     // last
	said    time.Time     // that some were dropped
}

var _ fasthttp.BodyWriterTo = (*eventStream)(nil)

// SupportsBodyWriteTo tells fasthttp to call WriteTo, which sends each write at
// once.
func (e *eventStream) SupportsBodyWriteTo() bool { return true }

// Read is never called.
func (e *eventStream) Read([]byte) (int, error) { panic("BUG: events are written, not read") }

// Close ends the tap; fasthttp calls it once the response is over, whatever became
// of it.
func (e *eventStream) Close() error {
	e.tap.Close()
	return nil
}

// WriteTo writes until the reader is gone or the server closes.
func (e *eventStream) WriteTo(w io.Writer) (n int64, err error) {
	defer func() {
		result := served
		if err != nil {
			result = failed
		}
		e.server.requests[e.route.nth][result].Add(1)
	}()
	gone, release := e.watch()
	defer release()
	ticker := time.NewTicker(eventTurn)
	defer ticker.Stop()
	last := time.Now()
	e.tap.Allow(e.rate, e.rate)
	e.lines = appendHeartbeat(e.lines[:0], last)
	for {
		if err := e.flush(w, &n); err != nil {
			return n, err
		}
		select {
		case <-gone:
			return n, errReaderGone
		case <-e.revoked:
			return n, e.flush(w, &n)
		case <-e.server.closing:
			e.collect(time.Now(), true)
			return n, e.flush(w, &n)
		case now := <-ticker.C:
			e.collect(now, false)
			e.allow(now.Sub(last))
			last = now
		}
	}
}

var errReaderGone = errors.New("admin: the reader of a stream has gone")

// watch reads the connection, on which nothing more is to come, to learn of its
// end. Release ends the watch.
func (e *eventStream) watch() (gone <-chan struct{}, release func()) {
	e.conn.SetReadDeadline(time.Time{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		e.conn.Read(make([]byte, 1))
	}()
	return over, func() {
		e.conn.SetReadDeadline(time.Unix(1, 0))
		<-over
	}
}

// allow lets in what the rate grants for a time.
func (e *eventStream) allow(passed time.Duration) {
	e.owed += min(passed, time.Second) * time.Duration(e.rate)
	whole := e.owed / time.Second
	e.owed -= whole * time.Second
	e.tap.Allow(int(whole), e.rate)
}

// collect makes lines of what has come in.
func (e *eventStream) collect(now time.Time, last bool) {
	var dropped uint64
	e.events, dropped = e.tap.Take(e.events[:0])
	for i := range e.events {
		e.lines = appendEvent(e.lines, &e.events[i], e.server.settings.Load().jsonDepth)
	}
	clear(e.events)
	e.dropped += dropped
	if e.dropped > 0 && (last || now.Sub(e.said) >= droppedEvery) {
		e.lines = append(e.lines, `{"dropped":`...)
		e.lines = strconv.AppendUint(e.lines, e.dropped, 10)
		e.lines = append(e.lines, "}\n"...)
		e.dropped, e.said = 0, now
	}
	if len(e.lines) == 0 && now.Sub(e.written) >= e.server.cfg.heartbeats {
		e.lines = appendHeartbeat(e.lines, now)
	}
}

func (e *eventStream) flush(w io.Writer, n *int64) error {
	if len(e.lines) == 0 {
		return nil
	}
	e.written = time.Now()
	if err := e.conn.SetWriteDeadline(e.written.Add(e.server.cfg.eventWrite)); err != nil {
		return err
	}
	written, err := w.Write(e.lines)
	*n += int64(written)
	e.lines = e.lines[:0]
	return err
}

func appendHeartbeat(b []byte, now time.Time) []byte {
	b = append(b, `{"time":`...)
	b = appendTime(b, now)
	return append(b, `,"action":"heartbeat"}`+"\n"...)
}

// appendEvent adds a line.
func appendEvent(b []byte, e *hub.TapEvent, levels int) []byte {
	b = append(b, `{"time":`...)
	b = appendTime(b, e.Time)
	b = append(b, `,"action":"`...)
	b = append(b, e.Action.String()...)
	b = append(b, `","user_name":`...)
	b = appendString(b, e.User)
	b = append(b, `,"conn_id":`...)
	b = appendString(b, e.ConnID)
	switch e.Action {
	case hub.TapOpen:
		b = append(b, `,"remote_addr":`...)
		b = appendString(b, e.RemoteAddr)
	case hub.TapClose:
		b = append(b, `,"code":`...)
		b = strconv.AppendInt(b, int64(e.End.Code), 10)
		b = append(b, `,"reason":`...)
		b = appendString(b, e.End.Reason)
		b = append(b, `,"initiator":`...)
		b = appendString(b, e.End.Initiator)
	default:
		b = append(b, `,"size":`...)
		b = strconv.AppendInt(b, int64(e.Size), 10)
		b = appendPayload(b, e, levels)
	}
	return append(b, "}\n"...)
}

// appendPayload adds a message's data, where it was asked for. JSON may hold line
// breaks, which a line may not; they mean nothing there.
func appendPayload(b []byte, e *hub.TapEvent, levels int) []byte {
	if e.Data == nil {
		return b
	}
	b = append(b, `,"data":`...)
	begin := len(b)
	b, encoding := forward.AppendData(b, e.Data, e.Binary, e.Truncated, levels)
	for i := begin; i < len(b); i++ {
		if b[i] == '\n' || b[i] == '\r' {
			b[i] = ' '
		}
	}
	if encoding != "" {
		b = append(b, `,"encoding":"`+encoding+`"`...)
	}
	if e.Truncated {
		b = append(b, `,"truncated":true`...)
	}
	return b
}
