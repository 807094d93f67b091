package call

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// The kinds of messages. A call with a request is answered with that request.
const (
	Send packet.Kind = packet.FirstOrdered + iota // the payload is a message's
	Close
	Join
	Leave
	List     // connections
	Count    // users, by hash, and their connections
	Describe // a connection
	Groups   // groups, and how many connections are in each
	Interest // of package interest
	Answer
	Bye // the sender ends
	Ask // for everything of package interest
	SetMeta
	Watch   // events that have come since the last time
	Unwatch // no more of them
)

// The tags of calls and answers. What may come several times is a list.
const (
	tagConn packet.Tag = 1 + iota
	tagUser
	tagGroup
	tagExclude
	tagAll
	tagOwned
	tagBinary
	tagCode
	tagReason
	tagPrefix
	tagRemote
	tagPort
	tagLimit
	tagCursor

	tagFailure
	tagText
	tagMatched
	tagQueued
	tagSlow
	tagConnections
	tagGroupCount
	tagGroupLimit

	tagAge
	tagAway
	tagMeta
	tagTrace
	tagOlder

	tagWatch
	tagAction
	tagPayload
	tagDropped

	tagReturns
)

// Call is what is asked for. Which members count depends on its kind.
type Call struct {
	Targets hub.Targets // of Send, Close, Join, Leave and SetMeta; Conn is the one of Describe

	Binary bool   // of Send: the message is binary
	Trace  string // the traceparent of the request, "": it had none

	Code   ws.StatusCode // of Close
	Reason string

	Meta string // of SetMeta: JSON; "": none

	Names []string // groups of Join and Leave, and those whose members List and Count are about

	Query  hub.Query      // of List and Count, without Among
	Groups hub.GroupQuery // of Groups

	Watch Reader // of Watch and Unwatch
}

// Reader is who reads events. It says all that there is to know each time, so that an
// instance which has forgotten it goes on.
type Reader struct {
	ID    uint64 // no other reader at the asking instance has it
	Allow int    // events until it asks again
	hub.TapFilter
}

// ErrMalformed is returned for fields that are no call, or no answer.
var ErrMalformed = errors.New("cluster/call: fields that are no call")

// Append appends the fields of a call of a kind.
func (c *Call) Append(f packet.Fields, kind packet.Kind) packet.Fields {
	switch kind {
	case Send, Close, Join, Leave, SetMeta:
		f = appendTargets(f, &c.Targets)
	case Describe:
		return packet.AppendField(f, tagConn, c.Targets.Conn)
	}
	switch kind {
	case Send:
		f = appendFlag(f, tagBinary, c.Binary)
		f = appendString(f, tagTrace, c.Trace)
	case Close:
		f = packet.AppendNumber(f, tagCode, uint64(c.Code))
		f = packet.AppendField(f, tagReason, c.Reason)
	case Join, Leave:
		f = appendStrings(f, tagPrefix, c.Names)
	case SetMeta:
		f = appendString(f, tagMeta, c.Meta)
	case List, Count:
		f = appendStrings(f, tagGroup, c.Names)
		f = appendQuery(f, &c.Query)
	case Groups:
		f = appendStrings(f, tagUser, c.Groups.Users)
		f = appendString(f, tagConn, c.Groups.Conn)
		f = appendNumber(f, tagLimit, c.Groups.Limit)
		f = appendString(f, tagCursor, c.Groups.Cursor)
	case Watch, Unwatch:
		f = appendReader(f, &c.Watch)
	}
	return f
}

func appendReader(f packet.Fields, r *Reader) packet.Fields {
	f = packet.AppendNumber(f, tagWatch, r.ID)
	f = appendNumber(f, tagLimit, r.Allow)
	f = appendStrings(f, tagUser, r.Users)
	f = appendStrings(f, tagConn, r.Conns)
	f = appendStrings(f, tagGroup, r.Groups)
	for _, a := range r.Actions {
		f = packet.AppendField(f, tagAction, a.String())
	}
	return appendFlag(f, tagPayload, r.Payload)
}

func appendTargets(f packet.Fields, t *hub.Targets) packet.Fields {
	f = appendString(f, tagConn, t.Conn)
	f = appendStrings(f, tagConn, t.Conns)
	f = appendStrings(f, tagUser, t.Users)
	f = appendStrings(f, tagGroup, t.Groups)
	f = appendStrings(f, tagExclude, t.Exclude)
	f = appendRemote(f, t.Remote, t.RemotePort)
	if t.OpenFor > 0 {
		f = AppendAge(f, t.OpenFor)
	}
	f = appendFlag(f, tagAll, t.All)
	return appendFlag(f, tagOwned, t.Owned)
}

// AppendAge appends to the fields of a Send how long ago it was called: it is for
// connections that were open then. It is kept to the microsecond, rounded down.
func AppendAge(f packet.Fields, age time.Duration) packet.Fields {
	return packet.AppendNumber(f, tagAge, uint64(age/time.Microsecond))
}

func appendQuery(f packet.Fields, q *hub.Query) packet.Fields {
	f = appendStrings(f, tagUser, q.Users)
	f = appendString(f, tagPrefix, q.UserPrefix)
	f = appendRemote(f, q.Remote, q.RemotePort)
	f = appendNumber(f, tagOlder, int(q.OlderThan/time.Microsecond))
	f = appendNumber(f, tagLimit, q.Limit)
	return appendString(f, tagCursor, q.Cursor)
}

func appendRemote(f packet.Fields, within netip.Prefix, port uint16) packet.Fields {
	if within.IsValid() {
		f = packet.AppendField(f, tagRemote, within.String())
	}
	return appendNumber(f, tagPort, int(port))
}

func readRemote(value []byte) (netip.Prefix, error) {
	within, err := netip.ParsePrefix(string(value))
	if err != nil {
		return netip.Prefix{}, ErrMalformed
	}
	return within, nil
}

func readPort(value []byte) (uint16, error) {
	port, err := number(value, math.MaxUint16)
	return uint16(port), err
}

func readMicroseconds(value []byte) (time.Duration, error) {
	n, err := number(value, math.MaxInt64/1000)
	return time.Duration(n) * time.Microsecond, err
}

func appendString(f packet.Fields, tag packet.Tag, s string) packet.Fields {
	if s == "" {
		return f
	}
	return packet.AppendField(f, tag, s)
}

func appendStrings(f packet.Fields, tag packet.Tag, list []string) packet.Fields {
	for _, s := range list {
		f = packet.AppendField(f, tag, s)
	}
	return f
}

func appendNumber(f packet.Fields, tag packet.Tag, n int) packet.Fields {
	if n == 0 {
		return f
	}
	return packet.AppendNumber(f, tag, uint64(n))
}

func appendFlag(f packet.Fields, tag packet.Tag, on bool) packet.Fields {
	if !on {
		return f
	}
	return packet.AppendNumber(f, tag, 1)
}

// Read reads a call of a kind. Its strings are copies.
func Read(kind packet.Kind, f packet.Fields) (c Call, err error) {
	for tag, value := range f.All() {
		if err := c.read(kind, tag, value); err != nil {
			return Call{}, err
		}
	}
	return c, nil
}

func (c *Call) read(kind packet.Kind, tag packet.Tag, value []byte) (err error) {
	switch kind {
	case List, Count:
		return c.readQuery(tag, value)
	case Groups:
		return c.readGroups(tag, value)
	case Watch, Unwatch:
		return c.Watch.read(tag, value)
	}
	t := &c.Targets
	switch tag {
	case tagConn:
		if kind == Describe {
			t.Conn = string(value)
		} else {
			t.Conns = append(t.Conns, string(value))
		}
	case tagUser:
		t.Users = append(t.Users, string(value))
	case tagGroup:
		t.Groups = append(t.Groups, string(value))
	case tagExclude:
		t.Exclude = append(t.Exclude, string(value))
	case tagAll:
		t.All, err = flag(value)
	case tagOwned:
		t.Owned, err = flag(value)
	case tagAge:
		t.OpenFor, err = readMicroseconds(value)
	case tagRemote:
		t.Remote, err = readRemote(value)
	case tagPort:
		t.RemotePort, err = readPort(value)
	case tagBinary:
		c.Binary, err = flag(value)
	case tagCode:
		var code int
		code, err = number(value, math.MaxUint16)
		c.Code = ws.StatusCode(code)
	case tagReason:
		c.Reason = string(value)
	case tagPrefix:
		c.Names = append(c.Names, string(value))
	case tagMeta:
		c.Meta = string(value)
	case tagTrace:
		c.Trace = string(value)
	}
	return err
}

func (c *Call) readQuery(tag packet.Tag, value []byte) (err error) {
	q := &c.Query
	switch tag {
	case tagGroup:
		c.Names = append(c.Names, string(value))
	case tagUser:
		q.Users = append(q.Users, string(value))
	case tagPrefix:
		q.UserPrefix = string(value)
	case tagRemote:
		q.Remote, err = readRemote(value)
	case tagPort:
		q.RemotePort, err = readPort(value)
	case tagOlder:
		q.OlderThan, err = readMicroseconds(value)
	case tagLimit:
		q.Limit, err = number(value, math.MaxInt32)
	case tagCursor:
		q.Cursor = string(value)
	}
	return err
}

func (c *Call) readGroups(tag packet.Tag, value []byte) (err error) {
	q := &c.Groups
	switch tag {
	case tagUser:
		q.Users = append(q.Users, string(value))
	case tagConn:
		q.Conn = string(value)
	case tagLimit:
		q.Limit, err = number(value, math.MaxInt32)
	case tagCursor:
		q.Cursor = string(value)
	}
	return err
}

func (r *Reader) read(tag packet.Tag, value []byte) (err error) {
	switch tag {
	case tagWatch:
		var ok bool
		if r.ID, ok = packet.Number(value); !ok {
			err = ErrMalformed
		}
	case tagLimit:
		r.Allow, err = number(value, math.MaxInt32)
	case tagUser:
		r.Users = append(r.Users, string(value))
	case tagConn:
		r.Conns = append(r.Conns, string(value))
	case tagGroup:
		r.Groups = append(r.Groups, string(value))
	case tagAction:
		if a, ok := hub.ParseTapAction(string(value)); ok { // others are of a later version
			r.Actions = append(r.Actions, a)
		}
	case tagPayload:
		r.Payload, err = flag(value)
	}
	return err
}

func flag(value []byte) (bool, error) {
	n, err := number(value, math.MaxInt)
	return n != 0, err
}

func number(value []byte, most uint64) (int, error) {
	n, ok := packet.Number(value)
	if !ok || n > most {
		return 0, ErrMalformed
	}
	return int(n), nil
}
