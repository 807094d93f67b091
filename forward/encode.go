package forward

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"ws-gateway/forward/quote"
	"ws-gateway/jsoncheck"
)

// Source is what an event says about its connection. The event keeps the strings and
// copies the slice.
type Source struct {
	Key    uint64 // names the lane: events with the same Key are delivered in order. Its low 32 bits are not 0.
	Seq    uint32 // number of the event within the connection, for X-Request-Id
	ConnID []byte // the public connection id
	User   string

	// Headers is what headers.Pack has made of the client's request. If that is just a
	// cookie it is the Cookie header verbatim; "" for none.
	Headers string

	// Fresh says that Headers are not those of the connection's last event, so that they
	// take memory of their own while this event waits.
	Fresh bool
}

// Request is what the open event says about the opening handshake.
type Request struct {
	URI, RemoteAddr, UserAgent, Origin string
}

// End is what the close event says.
type End struct {
	Code      int
	Reason    string
	Initiator string
}

// form is the form of a message's bytes in "data".
type form uint8

const (
	formJSON   form = iota // as they are, a JSON value
	formText               // as a JSON string
	formBase64             // as a JSON string in base64
)

// wrapping is how many levels of a POST's body are around a message's data: the event's
// object, and a batch's array around that.
const wrapping = 2

// formOf chooses the form that loses nothing and that every parser accepts which accepts
// so many levels: one client's message must not make the app refuse the messages of
// others.
func formOf(data []byte, binary bool, levels int) form {
	switch {
	case binary:
		return formBase64
	case jsoncheck.Portable(data, levels-wrapping):
		return formJSON
	case utf8.Valid(data):
		return formText
	default:
		return formBase64
	}
}

// dataLen is the length of what appendData appends.
func dataLen(data []byte, f form) int {
	switch f {
	case formJSON:
		return len(data)
	case formText:
		return quote.Len(data)
	default:
		return base64.StdEncoding.EncodedLen(len(data)) + len(`""`)
	}
}

func appendData(dst, data []byte, f form) []byte {
	switch f {
	case formJSON:
		return append(dst, data...)
	case formText:
		return quote.Append(dst, data)
	default:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, data)
		return append(dst, '"')
	}
}

// The sizes below are upper bounds: they count the values, and this much for the text
// around them.
const (
	commonText  = len(`{"data":{},"action":"message","user_name":,"conn_id":,"encoding":"base64"}-4294967295`)
	requestText = len(`,"request":{"uri":,"remote_addr":,"user_agent":,"origin":}`)
	resumedText = len(`,"away_ms":-9223372036854775808`)
	endText     = len(`,"code":-9223372036854775808,"reason":,"initiator":`)
)

func sourceSize(src *Source) int {
	return commonText + quote.Len(src.User) + quote.Len(src.ConnID) + len(src.ConnID)
}

func openSize(src *Source, req *Request) int {
	return sourceSize(src) + requestText + quote.Len(req.URI) + quote.Len(req.RemoteAddr) +
		quote.Len(req.UserAgent) + quote.Len(req.Origin)
}

func messageSize(src *Source, data []byte, f form) int {
	return sourceSize(src) + dataLen(data, f)
}

func closeSize(src *Source, end *End) int {
	return sourceSize(src) + endText + quote.Len(end.Reason) + quote.Len(end.Initiator)
}

// appendOpen, appendMessage, appendClose and appendResumed append the body of an event as it is
// POSTed.

func appendOpen(dst []byte, src *Source, req *Request) []byte {
	dst = append(dst, `{"data":{},"action":"open"`...)
	dst = appendSource(dst, src)
	dst = append(dst, `,"request":{"uri":`...)
	dst = quote.Append(dst, req.URI)
	dst = append(dst, `,"remote_addr":`...)
	dst = quote.Append(dst, req.RemoteAddr)
	dst = append(dst, `,"user_agent":`...)
	dst = quote.Append(dst, req.UserAgent)
	dst = append(dst, `,"origin":`...)
	dst = quote.Append(dst, req.Origin)
	return append(dst, `}}`...)
}

func appendMessage(dst []byte, src *Source, data []byte, f form) []byte {
	dst = append(dst, `{"data":`...)
	dst = appendData(dst, data, f)
	dst = append(dst, `,"action":"message"`...)
	dst = appendSource(dst, src)
	switch f {
	case formText:
		dst = append(dst, `,"encoding":"text"`...)
	case formBase64:
		dst = append(dst, `,"encoding":"base64"`...)
	}
	return append(dst, '}')
}

func appendClose(dst []byte, src *Source, end *End) []byte {
	dst = append(dst, `{"data":{},"action":"close"`...)
	dst = appendSource(dst, src)
	dst = append(dst, `,"code":`...)
	dst = strconv.AppendInt(dst, int64(end.Code), 10)
	dst = append(dst, `,"reason":`...)
	dst = quote.Append(dst, end.Reason)
	dst = append(dst, `,"initiator":`...)
	dst = quote.Append(dst, end.Initiator)
	return append(dst, '}')
}

func appendResumed(dst []byte, src *Source, away time.Duration) []byte {
	dst = append(dst, `{"data":{},"action":"resumed"`...)
	dst = appendSource(dst, src)
	dst = append(dst, `,"away_ms":`...)
	dst = strconv.AppendInt(dst, away.Milliseconds(), 10)
	return append(dst, '}')
}

func appendSource(dst []byte, src *Source) []byte {
	dst = append(dst, `,"user_name":`...)
	dst = quote.Append(dst, src.User)
	dst = append(dst, `,"conn_id":`...)
	return quote.Append(dst, src.ConnID)
}

// appendRequestID appends the id that all attempts at an event share.
func appendRequestID(dst []byte, src *Source) []byte {
	dst = append(dst, src.ConnID...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, uint64(src.Seq), 10)
}

// AppendData appends a message's bytes as the value of a JSON member, in the form that
// goes to the app; levels is Config.JSONDepth. encoding names the form: "" is the bytes
// as they are, the others are "text" and "base64". cut says that the bytes are only the
// beginning of the message; then they are never taken for JSON.
func AppendData(dst, data []byte, binary, cut bool, levels int) (_ []byte, encoding string) {
	f := formOf(data, binary, levels)
	if cut && f == formJSON {
		f = formText
	}
	switch f {
	case formText:
		encoding = "text"
	case formBase64:
		encoding = "base64"
	}
	return appendData(dst, data, f), encoding
}
