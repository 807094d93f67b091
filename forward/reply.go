package forward

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
)

// Reply is what the app's answer to an event says to the client.
type Reply struct {
	Body   []byte // to send to the client; empty: nothing
	Text   bool   // as a text message
	Close  bool   // close the connection, after that
	Code   int    // of the close frame: 1000 or 3000 to 4999
	Reason string // likewise; not checked
}

// replies counts what cannot be passed on to clients, and logs each kind once: an app
// that does it once does it always.
type replies struct {
	log      zerolog.Logger
	limit    atomic.Int64 // bytes of a body
	sent     atomic.Uint64
	refused  atomic.Uint64 // too long, or cut short
	unworthy atomic.Uint64 // text that is not UTF-8
	misspelt atomic.Uint64 // X-Ws-Close that says nothing

	longOnce, cutOnce, textOnce, closeOnce sync.Once
}

// read makes a Reply of the last answer that c has read. Its Body is valid until the next
// answer. ok is false if the answer says nothing to the client.
func (r *replies) read(c *callback.Client, id []byte) (reply Reply, ok bool) {
	switch c.Completeness {
	case callback.Whole:
		reply.Body = c.Body()
	case callback.Excessive:
		r.refused.Add(1)
		r.longOnce.Do(func() {
			r.log.Warn().Bytes("request_id", id).Int64("limit", r.limit.Load()).
				Msg("an answer's body is longer than --callback-reply-max: such are not sent to clients; raise it, or send by the API; said once")
		})
	case callback.CutShort:
		r.refused.Add(1)
		r.cutOnce.Do(func() {
			r.log.Warn().Bytes("request_id", id).
				Msg("an answer's body was cut short by the app: such are not sent to clients; said once")
		})
	}
	if len(reply.Body) > 0 {
		contentType, _ := c.Field("Content-Type")
		reply.Text = isText(contentType)
		if reply.Text && !utf8.Valid(reply.Body) {
			reply.Text = false // a client would have to fail the connection
			r.unworthy.Add(1)
			r.textOnce.Do(func() {
				r.log.Warn().Bytes("request_id", id).
					Msg("an answer's body is called text but is not UTF-8: such are sent as binary messages; said once")
			})
		}
	}
	if wish, found := c.Field("X-Ws-Close"); found {
		reply.Code, reply.Reason, reply.Close = parseClose(wish)
		if !reply.Close {
			r.misspelt.Add(1)
			r.closeOnce.Do(func() {
				r.log.Warn().Bytes("request_id", id).
					Msg("an answer's X-Ws-Close is not a code, 1000 or 3000 to 4999, with or without a reason behind it: such are ignored; said once")
			})
		}
	}
	if ok = len(reply.Body) > 0 || reply.Close; ok {
		r.sent.Add(1)
	}
	return reply, ok
}

// isText reports whether a body of this type is sent as text, which are application/json
// and text/*.
func isText(contentType []byte) bool {
	mediaType, _, _ := bytes.Cut(contentType, []byte(";"))
	mediaType = bytes.TrimSpace(mediaType)
	const text = "text/"
	return len(mediaType) > len(text) && strings.EqualFold(string(mediaType[:len(text)]), text) ||
		strings.EqualFold(string(mediaType), "application/json")
}

// parseClose reads X-Ws-Close: a code, then a reason if there is one.
func parseClose(value []byte) (code int, reason string, ok bool) {
	digits, rest, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
	if len(digits) != 4 {
		return 0, "", false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, "", false
		}
		code = 10*code + int(c-'0')
	}
	if code != 1000 && (code < 3000 || code > 4999) {
		return 0, "", false
	}
	return code, string(bytes.TrimSpace(rest)), true
}
