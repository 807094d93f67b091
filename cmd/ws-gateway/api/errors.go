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
}

func (e *Refusal) Error() string {
	switch e.Code {
	case 0:
	case http.StatusGatewayTimeout: // it is under way
		return fmt.Sprintf("the gateway has not done all of it in time: %s (code %d)", terminal.Printable(e.Message), e.Code)
	default:
		return fmt.Sprintf("the gateway refuses: %s (code %d)", terminal.Printable(e.Message), e.Code)
	}
	return fmt.Sprintf("%s answers %d: %s", e.At, e.Status, e.Message)
}

// Temporary reports whether a later request may be answered differently.
func (e *Refusal) Temporary() bool { return e.Status >= http.StatusInternalServerError }

// Incomplete is the answer to a call that has not reached every gateway of a cluster. It was
// done at the others, unless Answer.Refused.
type Incomplete struct {
	Code   int // 502; 504 if a gateway that was heard has not answered in time
	Answer *Answer
}

func (e *Incomplete) Error() string {
	const others = "done at the others, so do not just repeat it"
	names := Instances(e.Answer.Missing)
	var report struct{ Matched int }
	switch err := json.Unmarshal(e.Answer.Data, &report); {
	case e.Answer.Refused:
		return fmt.Sprintf("the gateway refuses (code %d): not reached: %s; nothing was done, so it can be repeated", e.Code, names)
	case e.Code == http.StatusGatewayTimeout:
		return fmt.Sprintf("done in part (code %d): no answer in time from %s, where it may or may not be done; %s", e.Code, names, others)
	case err == nil && report.Matched > 0:
		return fmt.Sprintf("done in part (code %d): not reached: %s; %s", e.Code, names, others)
	}
	return fmt.Sprintf("not reached (code %d): %s; %s", e.Code, names, others)
}

// Instances names gateways of a cluster that an answer names as missing, for people.
func Instances(missing []string) string {
	const unknown = "*" // as docs/protocol.md has it
	names := make([]string, 0, len(missing))
	for _, name := range missing {
		if name == unknown {
			name += " (gateways that are not known, because NATS is not reached)"
		}
		names = append(names, terminal.Printable(name))
	}
	return strings.Join(names, ", ")
}

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
