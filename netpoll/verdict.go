package netpoll

import (
	"net/http"
	"strconv"
	"time"

	"ws-gateway/netpoll/wire"
)

// Verdict is the answer to an opening handshake. The zero value accepts it.
type Verdict struct {
	Status      int           // 0 accepts; otherwise the HTTP status that refuses
	Reason      string        // one line for the body of a refusal
	RetryAfter  time.Duration // sent with a refusal when above 0, rounded up to seconds
	Body        *Body         // of a refusal, instead of Reason; may be nil
	Subprotocol string        // selected on acceptance; "" selects none

	// Pending postpones the decision: the handshake is parked until Loop.Unpark
	// brings it, however long that takes. The other fields are then ignored.
	Pending bool
}

// Body is the content of a refusal, sent as it is.
type Body struct {
	Type    string // Content-Type; "" for none. Bytes that cannot be in a header become blanks.
	Content []byte
}

// appendRefusal appends the response of a verdict that refuses.
func (v *Verdict) appendRefusal(dst []byte) []byte {
	text := v.Reason
	if text == "" {
		text = http.StatusText(v.Status)
	}
	if v.Body != nil {
		dst = wire.AppendRefusalHead(dst, v.Status, v.Body.Type, len(v.Body.Content))
		return append(dst, v.Body.Content...)
	}
	if v.RetryAfter <= 0 {
		return wire.AppendRefusal(dst, v.Status, text)
	}
	seconds := int64(v.RetryAfter / time.Second)
	if v.RetryAfter%time.Second > 0 {
		seconds++
	}
	return wire.AppendRefusal(dst, v.Status, text, "Retry-After", strconv.FormatInt(seconds, 10))
}
