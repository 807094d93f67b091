package callback

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/tracecontext"
)

// maxJoined is up to which size a body leaves in one write together with the head.
const maxJoined = 32 << 10

// Post makes one attempt at p on the connection, which must be there, and returns the
// status of the answer. retryAfter is how long the app wants to be left alone.
//
// The status decides as soon as it is here, whatever happens to the rest of the answer.
// After any mishap the connection is closed. ErrNoAnswer means that not a byte came
// back, ErrUnasked that nothing has been sent, because something had come on a connection
// that has carried other requests.
func (c *Client) Post(p *Request, deadline time.Time) (status int, retryAfter time.Duration, err error) {
	c.carried++
	if err := c.SetDeadline(deadline); err != nil {
		c.HangUp()
		return 0, 0, err
	}
	c.wrote = c.write(p)
	return c.read(p)
}

// Queue appends p to the requests that Flush sends together, to be answered one after
// the other (RFC 9112, section 9.3.2).
func (c *Client) Queue(p *Request) {
	c.put(p)
	c.out = append(append(c.out, p.Body...), p.Tail...)
}

// Flush sends what has been queued.
func (c *Client) Flush() error {
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// ReadNext reads the answer to the next of the requests that were sent together. wrote
// is what Flush returned, behind how many answers follow this one. Nothing of the
// answer is wanted but what Post returns too.
func (c *Client) ReadNext(wrote error, behind int) (status int, retryAfter time.Duration, err error) {
	c.behind, c.wrote = behind, wrote
	c.carried++
	status, retryAfter, err = c.read(&Request{})
	c.behind = 0
	return status, retryAfter, err
}

// read reads the answer to p. If p has not been written yet it is, by the first read.
func (c *Client) read(p *Request) (status int, retryAfter time.Duration, err error) {
	if unanswerable(c.wrote) {
		c.HangUp()
		return 0, 0, c.wrote
	}
	// An app that refuses a request before it has read all of it answers and
	// closes; so there may be an answer after a failed write.
	c.StatusOnly, c.Completeness, c.start = false, Unread, nil
	wanted := p.Wanted
	status, err = c.readHead(wanted > 0 || p.Fields)
	if err != nil {
		c.HangUp()
		if unanswerable(c.wrote) {
			err = c.wrote
		}
		return status, 0, err
	}
	if wish := c.answer.Header.Peek(fasthttp.HeaderRetryAfter); len(wish) > 0 {
		retryAfter = parseRetryAfter(wish, time.Now())
	}
	if c.Partial = p.Batch && !c.StatusOnly && c.isPartial(); c.Partial {
		wanted = maxPartial
	}
	if c.wrote != nil || !c.readBody(wanted) {
		c.HangUp()
	}
	return status, retryAfter, nil
}

// unanswerable reports whether a request that was written with this error is not worth
// waiting for an answer.
func unanswerable(wrote error) bool {
	return wrote != nil && (errors.Is(wrote, ErrUnasked) || IsTimeout(wrote))
}

// write sends the request, or leaves that to the first read of its answer. It does so only
// on a connection that has carried others, because on a new one the app may speak first.
func (c *Client) write(p *Request) error {
	if len(p.Body) <= maxJoined {
		c.Queue(p)
		if c.unsent = c.carried > 1 && c.socket.Usable(); c.unsent {
			return nil
		}
		return c.Flush()
	}
	if c.carried > 1 && c.unasked.has() {
		return ErrUnasked
	}
	c.put(p)
	head := len(c.out)
	c.out = append(c.out, p.Tail...)
	c.vectors = [3][]byte{c.out[:head], p.Body, c.out[head:]}
	vectors := net.Buffers(c.vectors[:])
	_, err := vectors.WriteTo(c.conn)
	c.vectors, c.out = [3][]byte{}, c.out[:0]
	return err
}

// sendAndRead sends the request and reads the beginning of its answer.
func (c *Client) sendAndRead(b []byte) (n int, err error) {
	sent, n, err := c.socket.Exchange(c.out, b)
	rest := c.out[sent:]
	c.out, c.unsent = c.out[:0], false
	if len(rest) == 0 {
		return n, err
	}
	if c.wrote = err; err == nil {
		_, c.wrote = c.conn.Write(rest)
	}
	if unanswerable(c.wrote) {
		return 0, c.wrote
	}
	return c.conn.Read(b)
}

// put appends the request's head to what is to be written.
func (c *Client) put(p *Request) {
	out := append(c.out, c.Target.head...)
	if p.Cookie != "" {
		out = appendField(out, "Cookie: ", p.Cookie)
	}
	lines := len(out)
	out = append(out, p.Headers...)
	if tracecontext.IsKept(p.Headers) {
		tracecontext.Fill(out[lines:], p.ID)
	}
	out = appendField(out, "X-Request-Id: ", p.ID)
	out = append(out, "X-Attempt: "...)
	out = strconv.AppendInt(out, int64(p.Attempt), 10)
	out = append(out, '\r', '\n')
	out = c.Signer.appendField(out, p.Body, p.Tail, time.Now())
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(p.Body)+len(p.Tail)), 10)
	c.out = append(out, "\r\n\r\n"...)
}

// appendField appends a header line. The value comes from outside, so characters that
// would end the line are replaced with blanks.
func appendField[S string | []byte](dst []byte, name string, value S) []byte {
	dst = append(dst, name...)
	start := len(dst)
	dst = append(dst, value...)
	for _, c := range [...]byte{'\r', '\n', 0} {
		for i := bytes.IndexByte(dst[start:], c); i >= 0; i = bytes.IndexByte(dst[start:], c) {
			dst[start+i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}
