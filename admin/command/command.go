// Package command reads the bodies of the management API's commands: JSON to what the hub
// is to do. It is pure, and keeps the payload's own bytes.
//
// It imports hub for the targets, jsoncheck, and admin/budget, in which what it makes of a
// body counts.
package command

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/tidwall/gjson"

	"ws-gateway/admin/budget"
	"ws-gateway/hub"
	"ws-gateway/jsoncheck"
)

// ErrNames means that a body names more connections and users than one may.
var ErrNames = errors.New("too many connections and users are named for --max-api-body, which has room for one in each 24 bytes: use several calls")

// What else is wrong with a command as a whole. Callers may know these texts.
var (
	errNotJSON     = errors.New("request body is not valid JSON")
	errNotObject   = errors.New("request body is not a JSON object")
	errNoTarget    = errors.New("send message target is nil") // the words of the component of Olares
	errNoPayload   = errors.New("payload is missing")
	errEncoding    = errors.New(`encoding must be "text" or "base64"`)
	errCloseNobody = errors.New("close target is nil: name conns or users, or set all")
	errCloseCode   = errors.New("code must be 1000 or a number from 3000 to 4999")
	errCloseReason = errors.New("reason must be at most 123 bytes")
)

// Whom is the part that all commands have in common.
type Whom struct {
	Targets hub.Targets
	Report  bool // the answer says how many were meant
}

// read reads a member if it belongs to this part.
func (w *Whom) read(names *names, name string, v gjson.Result) (err error) {
	switch t := &w.Targets; name {
	case "conns":
		t.Conns, err = names.of(name, v)
	case "users":
		t.Users, err = names.of(name, v)
	case "exclude":
		t.Exclude, err = names.of(name, v)
	case "all":
		t.All, err = boolOf(name, v)
	case "report":
		w.Report, err = boolOf(name, v)
	}
	return err
}

// complete ends the reading and reports whether the body names anybody. All makes names
// superfluous.
func (w *Whom) complete() bool {
	t := &w.Targets
	t.Conns = withoutEmpty(t.Conns)
	if t.All {
		*t = hub.Targets{All: true, Exclude: t.Exclude}
	}
	return t.All || t.Conn != "" || len(t.Conns) > 0 || len(t.Users) > 0
}

// Send is the body of a send call.
type Send struct {
	Whom
	Op      ws.OpCode
	Payload []byte // as it goes into the frame
}

// ParseSend reads the body of a send call. What it returns points into body, which must
// not be changed afterwards. If a member repeats, its last occurrence counts; null is
// the same as absent (except for payload); unknown members are ignored. The memory for
// what is made of the body comes from mem, which may be nil, and is at most about limit,
// the size of the largest body.
func ParseSend(body []byte, mem *budget.Reservation, limit int) (Send, error) {
	var (
		names    = newNames(mem, limit)
		cmd      Send
		encoding string
		payload  gjson.Result
	)
	err := eachMember(body, func(name string, v gjson.Result) (err error) {
		switch name {
		case "payload":
			payload = v
		case "encoding":
			encoding, err = stringOf(name, v)
		case "conn_id":
			cmd.Targets.Conn, err = stringOf(name, v)
		default:
			err = cmd.read(&names, name, v)
		}
		return err
	})
	if err != nil {
		return Send{}, err
	}
	cmd.Targets.Owned = true
	if !cmd.complete() {
		return Send{}, errNoTarget
	}
	if !payload.Exists() {
		return Send{}, errNoPayload
	}
	if encoding != "" && !mem.Grow(int64(len(payload.Raw))) {
		return Send{}, budget.ErrFull
	}
	cmd.Op, cmd.Payload, err = encode(payload, encoding)
	return cmd, err
}

// encode turns the payload member into a message.
func encode(payload gjson.Result, encoding string) (ws.OpCode, []byte, error) {
	if encoding == "" {
		return ws.OpText, bytesOf(payload.Raw), nil
	}
	if encoding != "text" && encoding != "base64" {
		return 0, nil, errEncoding
	}
	if payload.Type != gjson.String {
		return 0, nil, fmt.Errorf("payload must be a string when encoding is %s", encoding)
	}
	text, err := unquote(payload.Raw)
	if err != nil {
		return 0, nil, err
	}
	if encoding == "text" {
		return ws.OpText, bytesOf(text), nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return 0, nil, fmt.Errorf("payload is not standard base64: %w", err)
	}
	return ws.OpBinary, data, nil
}

// Close is the body of a close call.
type Close struct {
	Whom
	Code   ws.StatusCode
	Reason string
}

// maxReason is what RFC 6455 section 5.5 leaves for the reason: 125 bytes of a control
// frame less the code.
const maxReason = 123

// ParseClose reads the body of a close call under the rules of ParseSend.
func ParseClose(body []byte, mem *budget.Reservation, limit int) (Close, error) {
	var (
		names = newNames(mem, limit)
		cmd   Close
		code  gjson.Result
	)
	err := eachMember(body, func(name string, v gjson.Result) (err error) {
		switch name {
		case "code":
			code = v
		case "reason":
			cmd.Reason, err = stringOf(name, v)
		default:
			err = cmd.read(&names, name, v)
		}
		return err
	})
	if err != nil {
		return Close{}, err
	}
	if !cmd.complete() {
		return Close{}, errCloseNobody
	}
	if len(cmd.Reason) > maxReason {
		return Close{}, errCloseReason
	}
	cmd.Code, err = closeCodeOf(code)
	return cmd, err
}

// closeCodeOf reads a close code that an application may send: those that RFC 6455 section
// 7.4.2 has for libraries and applications, and the normal one.
func closeCodeOf(v gjson.Result) (ws.StatusCode, error) {
	if v.Type == gjson.Null {
		return ws.StatusNormalClosure, nil
	}
	code, err := strconv.ParseUint(v.Raw, 10, 16)
	if v.Type != gjson.Number || err != nil || code != 1000 && (code < 3000 || code > 4999) {
		return 0, errCloseCode
	}
	return ws.StatusCode(code), nil
}

func withoutEmpty(ids []string) []string {
	kept := ids[:0]
	for _, id := range ids {
		if id != "" {
			kept = append(kept, id)
		}
	}
	return kept
}

// eachMember checks that body is a JSON object, in UTF-8 as a text frame must be
// too (RFC 6455 section 5.6), and calls visit for each of its members, in order,
// until that fails.
func eachMember(body []byte, visit func(name string, v gjson.Result) error) error {
	if !jsoncheck.Valid(body) {
		return errNotJSON
	}
	object := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body)))
	if !object.IsObject() {
		return errNotObject
	}
	var err error
	object.ForEach(func(key, v gjson.Result) bool {
		err = visit(key.Str, v)
		return err == nil
	})
	return err
}

func boolOf(name string, v gjson.Result) (bool, error) {
	switch v.Type {
	case gjson.True, gjson.False, gjson.Null:
		return v.Type == gjson.True, nil
	}
	return false, fmt.Errorf("%s must be true or false", name)
}

func stringOf(name string, v gjson.Result) (string, error) {
	switch v.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return unquote(v.Raw)
	}
	return "", fmt.Errorf("%s must be a string", name)
}

// nameCost is the memory for the name of a connection or user, besides its text: a string
// header, and an id. A connection's id takes more in the body.
const nameCost = 24

// names reads arrays of strings, which have at most limit elements all together.
type names struct {
	mem   *budget.Reservation
	limit int
}

// newNames allows as many names as a body of at most so many bytes may have.
func newNames(mem *budget.Reservation, bytes int) names {
	return names{mem: mem, limit: max(bytes/nameCost, fewNames)}
}

// fewNames are allowed however small the largest body is.
const fewNames = 1024

// of reads an array. It counts the elements before it allocates: in the body, "", takes
// three bytes.
func (n *names) of(name string, v gjson.Result) ([]string, error) {
	if v.Type == gjson.Null {
		return nil, nil
	}
	var (
		ok    = v.IsArray()
		count int
		err   error
	)
	if ok {
		v.ForEach(func(_, element gjson.Result) bool {
			count++
			ok = element.Type == gjson.String
			return ok
		})
	}
	switch n.limit -= count; {
	case !ok:
		return nil, fmt.Errorf("%s must be an array of strings", name)
	case count == 0:
		return nil, nil
	case n.limit < 0:
		return nil, ErrNames
	case !n.mem.Grow(int64(count) * nameCost):
		return nil, budget.ErrFull
	}
	list := make([]string, 0, count)
	v.ForEach(func(_, element gjson.Result) bool {
		var s string
		s, err = unquote(element.Raw)
		list = append(list, s)
		return err == nil
	})
	return list, err
}

// unquote decodes a JSON string. A string without escapes is not copied. An unpaired
// surrogate becomes U+FFFD, so that the result is UTF-8.
func unquote(quoted string) (string, error) {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var s string
	if err := json.Unmarshal(bytesOf(quoted), &s); err != nil {
		return "", errNotJSON
	}
	return s, nil
}

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
