package deadletter

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ws-gateway/forward/headers"
	"ws-gateway/forward/quote"
	"ws-gateway/jsoncheck"
)

// Event is an event that failed for good, to be written.
type Event struct {
	RequestID []byte
	Action    string // open, message or close
	Attempts  int
	Status    int // of the app's last answer; 0: there was none, and Error says why
	Error     string
	Cookie    string // "" for none
	Headers   string // further header lines
	Body      []byte
}

// append appends the line of an event that failed at that time.
func (e *Event) append(dst []byte, at time.Time) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","request_id":`...)
	dst = quote.Append(dst, e.RequestID)
	dst = append(dst, `,"action":"`...)
	dst = append(dst, e.Action...)
	dst = append(dst, `","attempts":`...)
	dst = strconv.AppendInt(dst, int64(e.Attempts), 10)
	if e.Status != 0 {
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendInt(dst, int64(e.Status), 10)
	} else {
		dst = append(dst, `,"error":"`...)
		dst = append(dst, e.Error...)
		dst = append(dst, '"')
	}
	dst = appendLossless(dst, "cookie", e.Cookie)
	dst = appendLossless(dst, "headers", e.Headers)
	dst = append(dst, `,"event":`...)
	dst = appendOneLine(dst, e.Body)
	return append(dst, "}\n"...)
}

// appendLossless appends a member of an object, unless its value is empty. The value is a
// string or, if it is not UTF-8, base64 under a name that says so.
func appendLossless(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	if utf8.ValidString(value) {
		dst = append(dst, `":`...)
		return quote.Append(dst, value)
	}
	dst = append(dst, `_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, []byte(value))
	return append(dst, '"')
}

// appendOneLine appends a JSON text without line breaks. In JSON they can only be white
// space between tokens.
func appendOneLine(dst, text []byte) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[start:] {
		if c == '\n' || c == '\r' {
			dst[start+i] = ' '
		}
	}
	return dst
}

// Letter is a line of a dead-letter file, read back.
type Letter struct {
	RequestID string
	Action    string // open, message or close
	ConnID    string
	User      string
	Attempts  int    // so far
	Headers   string // as headers.Pack makes it
	Event     []byte // the body
}

// Parse reads a line of a dead-letter file. The error says what is wrong with the
// line, and does not show what is in it.
func Parse(line []byte) (*Letter, error) {
	var raw struct {
		RequestID     string          `json:"request_id"`
		Action        string          `json:"action"`
		Attempts      int             `json:"attempts"`
		Cookie        string          `json:"cookie"`
		CookieBase64  []byte          `json:"cookie_base64"`
		Headers       string          `json:"headers"`
		HeadersBase64 []byte          `json:"headers_base64"`
		Event         json.RawMessage `json:"event"`
	}
	var event struct {
		Action string `json:"action"`
		User   string `json:"user_name"`
		ConnID string `json:"conn_id"`
	}
	if !jsoncheck.Valid(line) {
		return nil, errors.New("not JSON")
	}
	if json.Unmarshal(line, &raw) != nil {
		return nil, errors.New("not a dead letter")
	}
	if len(raw.Event) == 0 || json.Unmarshal(raw.Event, &event) != nil {
		return nil, errors.New(`"event" is missing or not an event`)
	}
	if err := checkRequestID(raw.RequestID, event.ConnID); err != nil {
		return nil, err
	}
	if !slices.Contains(actions[:], raw.Action) || raw.Action != event.Action {
		return nil, errors.New(`"action" is none, or not the event's`)
	}
	if raw.Attempts < 0 || raw.Attempts > 1<<30 {
		return nil, errors.New(`"attempts" is out of range`)
	}
	fields, err := parseFields(raw.Headers + string(raw.HeadersBase64))
	if err != nil {
		return nil, err
	}
	return &Letter{
		RequestID: raw.RequestID, Action: raw.Action, ConnID: event.ConnID, User: event.User,
		Attempts: raw.Attempts,
		Headers:  headers.Pack(raw.Cookie+string(raw.CookieBase64), fields),
		Event:    raw.Event,
	}, nil
}

// checkRequestID says what keeps id from being the request id of an event of
// connection connID.
func checkRequestID(id, connID string) error {
	number, same := strings.CutPrefix(id, connID+"-")
	if _, err := strconv.ParseUint(number, 10, 32); same && err == nil && connID != "" && isPrintable(id) {
		return nil
	}
	if !same && isPrintable(id) {
		return errors.New(`"request_id" and the event's "conn_id" are of different connections`)
	}
	return errors.New(`"request_id" is missing or not <conn_id>-<number>`)
}

// isPrintable reports whether s is printable ASCII without blanks, and not empty.
func isPrintable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// actions are the kinds of events.
var actions = [...]string{"open", "message", "close", "resumed"}

// parseFields reads header lines in the form in which they are sent.
func parseFields(lines string) (fields []headers.Field, err error) {
	for line := range strings.SplitSeq(lines, "\r\n") {
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return nil, fmt.Errorf(`"headers" has a line that is no header`)
		}
		fields = append(fields, headers.Field{Name: name, Value: value})
	}
	return fields, nil
}
