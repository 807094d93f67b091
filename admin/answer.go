package admin

import (
	"strconv"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/access"
)

const (
	jsonType   = "application/json"
	textType   = "text/plain; charset=utf-8"
	linesType  = "application/x-ndjson"
	binaryType = "application/octet-stream"
)

// Every JSON answer has an envelope: a code, which is 0 on success, a message, and data if
// there is any.
const (
	succeeded   = `{"code":0,"message":"success"`
	success     = succeeded + `}`
	successData = succeeded + `,"data":`
)

// refusal is an HTTP status above 400 and one line for the caller. The zero value refuses
// nothing.
type refusal access.Refusal

// outcome is the result of a request, for the metrics.
type outcome uint8

const (
	served   outcome = iota
	invalid          // HTTP 200 with a code other than 0
	refused          // the caller may not do this
	failed           // any other status from 400 on
	streamed         // counted when the stream ends
	outcomes = int(streamed)
)

var outcomeNames = [outcomes]string{"served", "invalid", "refused", "failed"}

// answer sends a body with status 200.
func answer(ctx *fasthttp.RequestCtx, contentType string, body []byte) outcome {
	setHead(ctx, contentType)
	ctx.Response.SetBody(body)
	return served
}

// answerSuccess says that a command was carried out.
func answerSuccess(ctx *fasthttp.RequestCtx) outcome {
	setHead(ctx, jsonType)
	ctx.Response.SetBodyString(success)
	return served
}

// newData begins an answer with data, for which it has room for size bytes. The caller
// appends the data, and answerData sends it.
func newData(size int) []byte {
	return append(make([]byte, 0, len(successData)+size+1), successData...)
}

// answerData ends and sends an answer that newData began.
func answerData(ctx *fasthttp.RequestCtx, begun []byte) outcome {
	return answer(ctx, jsonType, append(begun, '}'))
}

// answerInvalid reports an application error with HTTP 200: callers read the code.
func answerInvalid(ctx *fasthttp.RequestCtx, code int, why string) outcome {
	setHead(ctx, jsonType)
	ctx.Response.SetBodyRaw(appendError(nil, code, why))
	return invalid
}

// answerRefusal reports a transport error, as text on routes that speak text. If it turned
// a proxy or a stranger away the connection ends, so that it is not reused for requests
// that belong elsewhere.
func answerRefusal(ctx *fasthttp.RequestCtx, r refusal, text bool) outcome {
	ctx.Response.SetStatusCode(r.Status)
	if text {
		setHead(ctx, textType)
		ctx.Response.SetBodyString(r.Why + "\n")
	} else {
		setHead(ctx, jsonType)
		ctx.Response.SetBodyRaw(appendError(nil, r.Status, r.Why))
	}
	switch r.Status {
	case fasthttp.StatusUnauthorized:
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="ws-gateway"`)
		ctx.SetConnectionClose()
		return refused
	case fasthttp.StatusForbidden, fasthttp.StatusTooManyRequests:
		ctx.SetConnectionClose()
		return refused
	}
	return failed
}

// setHead sets the headers of every answer: no answer may be cached, and no browser may
// guess another type.
func setHead(ctx *fasthttp.RequestCtx, contentType string) {
	h := &ctx.Response.Header
	h.SetContentType(contentType)
	h.SetCanonical(nosniffName, nosniffValue)
	h.SetCanonical(cacheName, cacheValue)
}

var (
	nosniffName, nosniffValue = []byte(fasthttp.HeaderXContentTypeOptions), []byte("nosniff")
	cacheName, cacheValue     = []byte(fasthttp.HeaderCacheControl), []byte("no-store")
)

func appendError(dst []byte, code int, why string) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, why)
	return append(dst, '}')
}

// appendString adds s as a JSON string. What is not UTF-8 becomes U+FFFD. Nearly all
// that is ever listed needs no escapes and is copied.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return gjson.AppendJSONString(dst, s)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// wholeRefusal is a whole HTTP answer, for a connection that is not served.
func wholeRefusal(why string) []byte {
	body := appendError(nil, fasthttp.StatusServiceUnavailable, why)
	return append([]byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: "+jsonType+
		"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
}
