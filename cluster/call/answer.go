package call

import (
	"context"
	"errors"
	"math"

	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// Result is an answer. Which members count depends on the call's kind.
type Result struct {
	Err error // what went wrong, nil for nothing

	Matched, Queued, Slow int    // of Send, Close, Join, Leave and SetMeta
	Away                  int    // of Send
	Connections           int    // of Count
	Dropped               int    // of Watch: events that there was no room for
	Cursor                string // of List, Count and Groups: where the next page begins; "": there is none

	Payload []byte // rows, groups, hashes or events; of Describe a row and the names of groups
}

// What can go wrong at another instance.
const (
	fine = iota
	stopped
	late
	overGroups
	overMemory
	badCursor
	unknown
	otherwise
	noMeta
	overMeta
	overMetaMemory
	overTaps
)

// Errors that are not of package hub.
var (
	ErrUnknown = errors.New("an instance does not know this call: it is of an older version")
	ErrFailed  = errors.New("an instance could not do it")
)

// Append appends the answer's fields; the payload goes beside them.
func (r *Result) Append(f packet.Fields) packet.Fields {
	if r.Err != nil {
		f = appendError(f, r.Err)
	}
	f = appendNumber(f, tagMatched, r.Matched)
	f = appendNumber(f, tagQueued, r.Queued)
	f = appendNumber(f, tagSlow, r.Slow)
	f = appendNumber(f, tagAway, r.Away)
	f = appendNumber(f, tagConnections, r.Connections)
	f = appendNumber(f, tagDropped, r.Dropped)
	return appendString(f, tagCursor, r.Cursor)
}

func appendError(f packet.Fields, err error) packet.Fields {
	failure := otherwise
	var limit *hub.GroupLimitError
	var long *hub.MetaLimitError
	switch {
	case errors.Is(err, hub.ErrStopped), errors.Is(err, context.Canceled):
		failure = stopped
	case errors.Is(err, context.DeadlineExceeded):
		failure = late
	case errors.Is(err, hub.ErrGroupMemory):
		failure = overMemory
	case errors.Is(err, hub.ErrCursor):
		failure = badCursor
	case errors.Is(err, ErrUnknown):
		failure = unknown
	case errors.Is(err, hub.ErrNoMeta):
		failure = noMeta
	case errors.Is(err, hub.ErrMetaMemory):
		failure = overMetaMemory
	case errors.As(err, &long):
		failure = overMeta
		f = appendNumber(f, tagGroupCount, long.Bytes)
		f = appendNumber(f, tagGroupLimit, long.Limit)
	case errors.Is(err, hub.ErrTaps):
		failure = overTaps
	case errors.As(err, &limit):
		failure = overGroups
		f = appendString(f, tagConn, limit.Conn)
		f = appendNumber(f, tagGroupCount, limit.Groups)
		f = appendNumber(f, tagGroupLimit, limit.Limit)
	}
	return packet.AppendNumber(f, tagFailure, uint64(failure))
}

// ReadResult reads an answer. Payload is not copied.
func ReadResult(f packet.Fields, payload []byte) (r Result, err error) {
	r.Payload = payload
	var limit hub.GroupLimitError
	failure := fine
	for tag, value := range f.All() {
		var to *int
		switch tag {
		case tagFailure:
			to = &failure
		case tagMatched:
			to = &r.Matched
		case tagQueued:
			to = &r.Queued
		case tagSlow:
			to = &r.Slow
		case tagAway:
			to = &r.Away
		case tagConnections:
			to = &r.Connections
		case tagDropped:
			to = &r.Dropped
		case tagGroupCount:
			to = &limit.Groups
		case tagGroupLimit:
			to = &limit.Limit
		case tagConn:
			limit.Conn = string(value)
		case tagCursor:
			r.Cursor = string(value)
		}
		if to == nil {
			continue
		}
		if *to, err = number(value, math.MaxInt64/(2*maxInstances)); err != nil {
			return Result{}, err
		}
	}
	r.Err = errorOf(failure, &limit)
	return r, nil
}

// maxInstances is how many answers are added up at most.
const maxInstances = 1 << 9

func errorOf(failure int, limit *hub.GroupLimitError) error {
	switch failure {
	case fine:
		return nil
	case stopped:
		return hub.ErrStopped
	case late:
		return context.DeadlineExceeded
	case overGroups:
		return limit
	case overMemory:
		return hub.ErrGroupMemory
	case badCursor:
		return hub.ErrCursor
	case unknown:
		return ErrUnknown
	case noMeta:
		return hub.ErrNoMeta
	case overMeta:
		return &hub.MetaLimitError{Bytes: limit.Groups, Limit: limit.Limit}
	case overMetaMemory:
		return hub.ErrMetaMemory
	case overTaps:
		return hub.ErrTaps
	}
	return ErrFailed
}
