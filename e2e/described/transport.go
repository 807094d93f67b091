package described

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

// Transport fails the test for each answer of the management API that is not as it is
// described. A body is checked when it has been read to its end, a stream's lines as they
// come.
func Transport(t testing.TB, next *http.Transport) http.RoundTripper {
	return &transport{t, next}
}

type transport struct {
	t    testing.TB
	next *http.Transport
}

func (tr *transport) CloseIdleConnections() { tr.next.CloseIdleConnections() }

func (tr *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := tr.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	a, known, err := head(request.Method, request.URL.EscapedPath(), response.StatusCode, response.Header)
	c := &checked{ReadCloser: response.Body, t: tr.t, answer: a, response: response}
	switch {
	case err != nil:
		c.undescribed(err, nil)
	case known && response.StatusCode != http.StatusSwitchingProtocols:
		response.Body = c
	}
	return response, nil
}

// checked is a body that is checked while it is read.
type checked struct {
	io.ReadCloser
	t        testing.TB
	answer   answer
	response *http.Response
	kept     []byte // that has not been checked yet
	failed   bool
}

func (c *checked) Read(into []byte) (int, error) {
	n, err := c.ReadCloser.Read(into)
	if !c.answer.plain {
		c.kept = append(c.kept, into[:n]...)
	}
	for c.answer.lines {
		end := bytes.IndexByte(c.kept, '\n')
		if end < 0 {
			break
		}
		c.check(c.kept[:end])
		c.kept = c.kept[end+1:]
	}
	if errors.Is(err, io.EOF) && (!c.answer.lines || len(c.kept) > 0) {
		c.check(c.kept)
		c.kept = nil
	}
	return n, err
}

func (c *checked) check(body []byte) {
	if err := c.answer.body(c.response.StatusCode, body); err != nil {
		c.undescribed(err, body)
	}
}

// undescribed fails the test, for the first mistake of an answer.
func (c *checked) undescribed(err error, body []byte) {
	if !c.failed {
		c.failed = true
		r := c.response
		c.t.Errorf("docs/openapi.yaml: the answer to %s %s: %v\nstatus %d, content type %q\n%.500s",
			r.Request.Method, r.Request.URL.Path, err, r.StatusCode, r.Header.Get("Content-Type"), body)
	}
}
