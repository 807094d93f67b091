package forward

import (
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

// maxExcerpt is how much of a refusal's body is passed on.
const maxExcerpt = 4 << 10

// completeness says how much there is of an answer's body.
type completeness uint8

const (
	unread completeness = iota // there is none, or nobody wanted it
	whole
	excessive // more than is taken
	cutShort  // the connection ended within it
)

// body is the answer's body, valid until the next exchange.
func (l *link) body() []byte { return l.answer.Body() }

// readBody reads the rest of the answer and reports whether the connection can
// carry another request: nothing may be left of this one, for it would be taken
// for an answer to the next. Where the connection ends with the answer anyway,
// the body is read only if it is wanted.
func (l *link) readBody(wanted int) (reusable bool) {
	header := &l.answer.Header
	l.completeness, l.start = unread, nil
	switch status := header.StatusCode(); {
	case status == fasthttp.StatusSwitchingProtocols:
		return false
	case status == fasthttp.StatusNoContent, status == fasthttp.StatusNotModified:
		return !header.ConnectionClose() && l.expected()
	}
	ends := header.ConnectionClose() || header.ContentLength() < -1 // the body goes up to the end of the connection
	if ends && wanted == 0 {
		return false
	}
	chunked := header.ContentLength() == -1
	if wanted == 0 && (chunked || header.ContentLength() > l.reader.Buffered()) {
		l.hasten()
	}
	limit := wanted
	if wanted == 0 {
		limit = maxAnswerBody
	}
	err := l.answer.ReadBody(l.reader, limit)
	switch {
	case err == nil:
		l.completeness = whole
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		l.completeness = excessive
		l.start = l.body()
		if length := header.ContentLength(); wanted > 0 && length > 0 { // nothing has been read
			l.start = make([]byte, min(length, maxExcerpt))
			n, _ := io.ReadFull(l.reader, l.start) // or what there is
			l.start = l.start[:n]
		}
	default:
		l.completeness = cutShort
	}
	if err != nil || ends || chunked && header.ReadTrailer(l.reader) != nil {
		return false
	}
	return l.expected()
}

// forget gives back what a large body took.
func (l *link) forget() { l.answer.ReleaseBody(maxAnswerBody) }

// expected reports whether what has been read beyond the answer may be there.
func (l *link) expected() bool { return l.behind > 0 || l.reader.Buffered() == 0 }

// excerpt is the first maxExcerpt bytes of the body, however long it is.
func (l *link) excerpt() []byte {
	b := l.start
	if l.completeness != excessive {
		b = l.body()
	}
	return b[:min(maxExcerpt, len(b))]
}

// field is the first value of one of the answer's header fields.
func (l *link) field(name string) (value []byte, found bool) {
	l.answer.Header.SetNoDefaultContentType(true)
	if all := l.answer.Header.PeekAll(name); len(all) > 0 {
		return all[0], true
	}
	return nil, false
}
