// Package command reads the bodies of the management API's commands: JSON to what the hub
// is to do. It is pure, and keeps the payload's own bytes.
//
//	command.go  send and close
//	group.go    join and leave
//	meta.go     metadata
//	whom.go     whom a command is for
//	json.go     members, strings, and how many names a body may have
//
// It imports hub for the targets, hub/groups for the names of groups, jsoncheck, and
// admin/budget, in which what it makes of a body counts.
package command

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/gobwas/ws"
	"github.com/tidwall/gjson"

	"ws-gateway/admin/budget"
)

// What is wrong with a send or a close as a whole. Callers may know these texts.
var (
	errNoTarget    = errors.New("send message target is nil") // the words of the component of Olares
	errNoPayload   = errors.New("payload is missing")
	errEncoding    = errors.New(`encoding must be "text" or "base64"`)
	errCloseNobody = errors.New("close target is nil: name conns or users, or set all")
	errCloseCode   = errors.New("code must be 1000 or a number from 3000 to 4999")
	errCloseReason = errors.New("reason must be at most 123 bytes")
)

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
	if err := cmd.complete(errNoTarget); err != nil {
		return Send{}, err
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
		names  = newNames(mem, limit)
		cmd    Close
		code   gjson.Result
		beside bool   // there is a conn_id, which a close ignores
		remote string // instead of other targets
	)
	err := eachMember(body, func(name string, v gjson.Result) (err error) {
		switch name {
		case "code":
			code = v
		case "reason":
			cmd.Reason, err = stringOf(name, v)
		case "conn_id":
			beside = v.Type != gjson.Null && v.Raw != `""`
		case "remote":
			remote, err = stringOf(name, v)
		default:
			err = cmd.read(&names, name, v)
		}
		return err
	})
	if err != nil {
		return Close{}, err
	}
	if remote != "" {
		err = cmd.completeRemote(remote, beside)
	} else {
		err = cmd.complete(errCloseNobody)
	}
	if err != nil {
		return Close{}, err
	}
	if beside && len(cmd.Targets.Groups) > 0 { // who means one connection must not close a whole group
		return Close{}, errBeside
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
