package admin

import (
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/cluster"
	"ws-gateway/forward"
	"ws-gateway/hub"
)

const (
	eventTurn       = 100 * time.Millisecond // how often a stream looks for events
	droppedEvery    = time.Second            // how often a stream reports how many were left out
	usualHeartbeats = 10 * time.Second       // without a line

	longestEventWrite = 10 * time.Second // for the reader to take what is written at a time
	longestBegin      = 2 * time.Second  // for other instances to begin, before the first line says that they have
)

// tap is a hub.Tap, or a cluster.Tap.
type tap interface {
	Allow(n, limit int)
	Take(dst []hub.TapEvent) (events []hub.TapEvent, dropped uint64)
	Close()
}

// eventStream is a response body that is written until the reader or the gateway ends. It
// owns its tap.
type eventStream struct {
	server *Server
	route  *route
	tap    tap
	all    *cluster.Tap // tap, if it is one of several instances
	conn   net.Conn
	rate   int

	revoked <-chan struct{} // closed when another token is in force

	events  []hub.TapEvent
	lines   []byte
	owed    time.Duration // the fraction of an event that the rate grants, times a second
	dropped uint64        // events that no line has reported yet
	written time.Time     // when the last line was
	said    time.Time     // when a line reported dropped events
	missing []string      // as the last line said
}

// open opens the tap. The error is nil or hub.ErrTaps.
func (e *eventStream) open(q *eventQuery) (err error) {
	s := e.server
	switch {
	case q.in.part != nil:
		e.all, err = q.in.part.Tap(q.filter)
	case s.cfg.Instances != nil && !q.in.local:
		e.all, err = s.cfg.Instances.Tap(q.filter)
	default:
		e.tap, err = s.cfg.Hub.Tap(q.filter)
		return err
	}
	e.tap = e.all
	return err
}

var _ fasthttp.BodyWriterTo = (*eventStream)(nil)

// SupportsBodyWriteTo tells fasthttp to call WriteTo, which sends each write at once.
func (e *eventStream) SupportsBodyWriteTo() bool { return true }

// Read is never called.
func (e *eventStream) Read([]byte) (int, error) { panic("BUG: events are written, not read") }

// Close ends the tap; fasthttp calls it when the response is over, whether it was written
// or not.
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
	began := time.Now()
	last, begun := began, false
	e.tap.Allow(e.rate, e.rate)
	for {
		if !begun && (e.all == nil || e.all.Ready() || last.Sub(began) >= longestBegin) {
			begun = true
			e.lines = append(appendHeartbeat(nil, last), e.lines...)
		}
		if begun {
			if err := e.flush(w, &n); err != nil {
				return n, err
			}
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

// watch reads the connection, on which nothing more is to come, so that gone is closed at
// its end. release ends the watch.
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

// allow admits the events that the rate grants for the time that has passed.
func (e *eventStream) allow(passed time.Duration) {
	e.owed += min(passed, time.Second) * time.Duration(e.rate)
	whole := e.owed / time.Second
	e.owed -= whole * time.Second
	e.tap.Allow(int(whole), e.rate)
}

// collect makes lines of the events that have come in. The last call reports dropped events
// at once.
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
	e.tellMissing()
	if len(e.lines) == 0 && now.Sub(e.written) >= e.server.cfg.heartbeats {
		e.lines = appendHeartbeat(e.lines, now)
	}
}

// tellMissing makes a line of the instances whose events are missing, if others are than
// before.
func (e *eventStream) tellMissing() {
	if e.all == nil {
		return
	}
	missing := e.all.Missing()
	if slices.Equal(missing, e.missing) {
		return
	}
	e.missing = missing
	e.lines = append(e.lines, '{')
	e.lines = append(appendMissing(e.lines, missing), "}\n"...)
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
	if e.Instance != "" {
		b = append(b, `,"instance":`...)
		b = appendString(b, e.Instance)
	}
	switch e.Action {
	case hub.TapOpen:
		b = append(b, `,"remote_addr":`...)
		b = appendString(b, e.RemoteAddr)
	case hub.TapAway:
	case hub.TapResumed:
		b = append(b, `,"remote_addr":`...)
		b = appendString(b, e.RemoteAddr)
		b = append(b, `,"away_ms":`...)
		b = strconv.AppendInt(b, e.Away.Milliseconds(), 10)
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
		if e.Trace != "" {
			b = append(b, `,"traceparent":`...)
			b = appendString(b, e.Trace)
		}
	}
	return append(b, "}\n"...)
}

// appendPayload adds a message's data, if it was asked for. JSON may contain line breaks
// between its tokens, where they mean nothing; a line may not.
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
