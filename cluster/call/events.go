package call

import (
	"encoding/binary"
	"math"
	"time"

	"ws-gateway/hub"
)

// An event is its action, id, user, address, close reason, initiator, trace and data, each with
// its length before it, then the time in nanoseconds since 1970, the size, the close code
// and flags. Numbers are varints. One that resumes has the milliseconds for which it was away as its size.

// The flags of an event.
const (
	eventBinary = 1 << iota
	eventTruncated
	eventHasData // which may be empty
)

// AppendEvent appends an event to a payload.
func AppendEvent(dst []byte, e *hub.TapEvent) []byte {
	for _, s := range [...]string{e.Action.String(), e.ConnID, e.User, e.RemoteAddr, e.End.Reason, e.End.Initiator, e.Trace} {
		dst = AppendName(dst, s)
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(e.Data))), e.Data...)
	dst = binary.AppendVarint(dst, e.Time.UnixNano())
	size := uint64(e.Size)
	if e.Action == hub.TapResumed {
		size = uint64(e.Away.Milliseconds())
	}
	dst = binary.AppendUvarint(dst, size)
	dst = binary.AppendUvarint(dst, uint64(e.End.Code))
	flags := uint64(0)
	for i, on := range [...]bool{e.Binary, e.Truncated, e.Data != nil} {
		if on {
			flags |= 1 << i
		}
	}
	return binary.AppendUvarint(dst, flags)
}

// Event reads an event. known is false if its action is one of a later version.
func (r *Rows) Event() (e hub.TapEvent, known bool) {
	e.Action, known = hub.ParseTapAction(r.Name())
	e.ConnID, e.User, e.RemoteAddr, e.End.Reason, e.End.Initiator, e.Trace = r.Name(), r.Name(), r.Name(), r.Name(), r.Name(), r.Name()
	data := r.Name()
	e.Time = time.Unix(0, r.signed())
	e.Size = int(r.number(math.MaxInt64))
	e.End.Code = int(r.number(math.MaxUint16))
	flags := r.number(math.MaxUint64)
	e.Binary, e.Truncated = flags&eventBinary != 0, flags&eventTruncated != 0
	if flags&eventHasData != 0 {
		e.Data = []byte(data)
	}
	if e.Action == hub.TapResumed {
		e.Size, e.Away = 0, time.Duration(min(e.Size, math.MaxUint32))*time.Millisecond
	}
	return e, known && !r.failed
}
