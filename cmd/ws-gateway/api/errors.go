package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// Refusal is an answer that reports an error: the gateway's, or that of another server at
// its address.
type Refusal struct {
	At      string
	Status  int // of HTTP; 200 if Code says more
	Code    int // of the answer; 0 if there is none
	Message string
	Answer  *Answer // all of it, if it is a gateway's
}

func (e *Refusal) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("the gateway refuses: %s (code %d)", terminal.Printable(e.Message), e.Code)
	}
	return fmt.Sprintf("%s answers %d: %s", e.At, e.Status, e.Message)
}

// Temporary reports whether a later request may be answered differently.
func (e *Refusal) Temporary() bool { return e.Status >= http.StatusInternalServerError }

// Unreachable says why there is no answer.
type Unreachable struct {
	At     string
	Reason Reason
	Err    error
}

// Reason is a kind of Unreachable.
type Reason uint8

const (
	Broken    Reason = iota // anything else
	Nobody                  // nothing listens there
	Forbidden               // this user may not connect
	Slow                    // no answer came in time
)

func (e *Unreachable) Error() string {
	switch e.Reason {
	case Nobody:
		return fmt.Sprintf("no gateway at %s: %v", e.At, e.Err)
	case Forbidden:
		return fmt.Sprintf("%s: %v", e.At, e.Err)
	case Slow:
		return e.At + " has not answered in time"
	}
	return fmt.Sprintf("asking %s: %v", e.At, e.Err)
}

func (e *Unreachable) Unwrap() error { return e.Err }

func (c *Client) unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL and its query
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return &Unreachable{c.at, Nobody, Root(err)}
	case errors.Is(err, fs.ErrPermission):
		return &Unreachable{c.at, Forbidden, Root(err)}
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return &Unreachable{c.at, Slow, err}
	}
	return &Unreachable{c.at, Broken, err}
}

// Root is the system's error in err, without the address around it; err itself if
// there is none.
func Root(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// Said is what an answer says in its first line, or in its message if it is JSON,
// without anything that a terminal would act on.
func Said(body io.Reader) string {
	const longest = 300                                // columns
	text, _ := io.ReadAll(io.LimitReader(body, 4<<10)) // as far as it comes
	var known struct{ Message string }
	if json.Unmarshal(text, &known) == nil && known.Message != "" {
		return terminal.Printable(known.Message)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return terminal.Printable(terminal.Cut(line, longest))
}
