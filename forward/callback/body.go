package callback

import (
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

const (
	// MaxBody is how long the body of an answer may be of which nothing is wanted. A
	// longer one is not read; the connection is closed instead.
	MaxBody = 64 << 10
	// maxExcerpt is how much of a refusal's body is passed on.
	maxExcerpt = 4 << 10
)

// Completeness says how much of an answer's body there is.
type Completeness uint8

const (
	Unread    Completeness = iota // there is none, or nobody wanted it
	Whole                         // all of it
	Excessive                     // more than is taken
	CutShort                      // the connection ended within it
)

// Body is the last answer's body, valid until the next exchange; nil if it was not read. What
// c.answer has then is an earlier answer's, to another client's event.
func (c *Client) Body() []byte {
	if c.Completeness == Unread {
		return nil
	}
	return c.answer.Body()
}

// readBody reads the rest of the answer and reports whether the connection can carry
// another request. If anything of this answer were left it would be taken for the next
// one. If the connection ends with the answer anyway, the body is read only if it is
// wanted.
func (c *Client) readBody(wanted int) (reusable bool) {
	header := &c.answer.Header
	switch status := header.StatusCode(); {
	case status == fasthttp.StatusSwitchingProtocols:
		return false
	case status == fasthttp.StatusNoContent, status == fasthttp.StatusNotModified:
		return !header.ConnectionClose() && c.expected()
	}
	ends := header.ConnectionClose() || header.ContentLength() < -1 // the body goes up to the end of the connection
	if ends && wanted == 0 {
		return false
	}
	chunked := header.ContentLength() == -1
	if wanted == 0 && (chunked || header.ContentLength() > c.reader.Buffered()) {
		c.hasten()
	}
	limit := wanted
	if wanted == 0 {
		limit = MaxBody
	}
	err := c.answer.ReadBody(c.reader, limit)
	switch {
	case err == nil:
		c.Completeness = Whole
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		c.Completeness = Excessive
		c.start = c.Body()
		if length := header.ContentLength(); wanted > 0 && length > 0 { // nothing has been read
			c.start = make([]byte, min(length, maxExcerpt))
			n, _ := io.ReadFull(c.reader, c.start) // or what there is
			c.start = c.start[:n]
		}
	default:
		c.Completeness = CutShort
	}
	if err != nil || ends || chunked && header.ReadTrailer(c.reader) != nil {
		return false
	}
	return c.expected()
}

// Forget releases the memory of a large body.
func (c *Client) Forget() { c.answer.ReleaseBody(MaxBody) }

// expected reports whether bytes beyond the answer, if there are any, may be there.
func (c *Client) expected() bool { return c.behind > 0 || c.reader.Buffered() == 0 }

// Excerpt is the first 4 KiB of the last answer's body, however long that is.
func (c *Client) Excerpt() []byte {
	b := c.start
	if c.Completeness != Excessive {
		b = c.Body()
	}
	return b[:min(maxExcerpt, len(b))]
}

// Field is the first value of one of the last answer's header fields.
func (c *Client) Field(name string) (value []byte, found bool) {
	if all := c.Fields(name); len(all) > 0 {
		return all[0], true
	}
	return nil, false
}

// Fields are all values of one of the last answer's header fields, valid until Field or
// Fields is called again.
func (c *Client) Fields(name string) (values [][]byte) {
	c.answer.Header.SetNoDefaultContentType(true)
	return c.answer.Header.PeekAll(name)
}

// An answer to a batch with this header field says in its body which events the app
// has not taken.
const (
	partialField = "X-Ws-Batch"
	partialWord  = "partial"

	// maxPartial is how long such a body may be: 10,000 ids and as much again.
	maxPartial = 1 << 20
)

// isPartial reports whether the answer says that the app has taken part of a batch.
// Apps answer with bodies of all kinds; this header is what has the body read.
func (c *Client) isPartial() bool {
	value, found := c.Field(partialField)
	return found && bytes.EqualFold(bytes.TrimSpace(value), []byte(partialWord))
}
