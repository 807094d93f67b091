package admin

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/cluster"
	"ws-gateway/hub"
)

// streamBytes is the part of a list that is in memory at a time.
const streamBytes = 32 << 10

// listStream is a response body that is written as the hub is walked, so that at most
// streamBytes of it are in memory: while the reader does not read, the walk does not go on.
type listStream struct {
	walk     func(out *listWriter) (next string, err error)
	done     func(result outcome, err error)
	panicked func(p any)
	paged    bool // the reader asked for a page, and is told where the next one begins
	mem      *budget.Reservation
}

// Close releases the memory; fasthttp calls it when the answer is over, whether it was
// written or not.
func (l *listStream) Close() error {
	l.mem.Release()
	l.mem = nil
	return nil
}

var _ fasthttp.BodyWriterTo = (*listStream)(nil)

// SupportsBodyWriteTo tells fasthttp to call WriteTo. It does so on the connection's
// goroutine, and closes the connection on an error, so that a list that was cut short does
// not look like a whole one.
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
	next, err := l.walk(&out)
	lost := missing(err)
	if lost != nil {
		err = nil
	}
	switch {
	case errors.Is(err, hub.ErrCursor) && !out.begun:
		result = invalid
		out.buf = appendError(out.buf, fasthttp.StatusBadRequest, "cursor is not one that this gateway gave out")
		err = out.flush()
	case errors.Is(err, context.DeadlineExceeded) && !out.begun:
		result = invalid
		out.buf = appendError(out.buf, fasthttp.StatusGatewayTimeout, notAnswered)
		err = out.flush()
	case err == nil:
		result = served
		if !l.paged {
			next = ""
		}
		err = out.end(next, lost)
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

// conns adds connections of one user. Consecutive calls for the same user become one
// object.
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

// groups adds groups.
func (o *listWriter) groups(page []hub.Group) error {
	for i := range page {
		if o.begun {
			o.buf = append(o.buf, ',')
		}
		o.begin()
		o.buf = append(o.buf, `{"name":`...)
		o.buf = appendString(o.buf, page[i].Name)
		o.buf = append(o.buf, `,"connections":`...)
		o.buf = strconv.AppendInt(o.buf, int64(page[i].Connections), 10)
		o.buf = append(o.buf, '}')
		if len(o.buf) >= streamBytes-2048 { // a name may take six times its length
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end closes what is open.
func (o *listWriter) end(next string, lost *cluster.MissingError) error {
	o.begin()
	if o.open {
		o.buf = append(o.buf, "]}"...)
	}
	o.buf = append(o.buf, ']')
	if next != "" {
		o.buf = append(o.buf, `,"cursor":`...)
		o.buf = appendString(o.buf, next)
	}
	if lost != nil {
		o.buf = appendMissing(append(o.buf, ','), lost.Names)
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

// appendConn adds a connection as a JSON object, with its user's name if the object stands
// alone.
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
	if c.Away {
		dst = append(dst, `,"away":true`...)
	}
	if c.Meta != "" {
		dst = append(dst, `,"meta":`...)
		dst = append(dst, c.Meta...)
	}
	return append(dst, '}')
}

// timeLayout is RFC 3339 with milliseconds, which has one width.
const timeLayout = "2006-01-02T15:04:05.000Z"
