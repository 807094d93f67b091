package hub

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/gjson"

	"ws-gateway/jsoncheck"
)

// pongMessage is the answer to a ping message. Clients compare these bytes.
var pongMessage = []byte(`{"event":"pong"}`)

// isPing reports whether a text message is the client's ping: a JSON object whose
// top-level member "event" is the string "ping". If there are several, the last one
// counts, as for JSON.parse.
func isPing(payload []byte) bool {
	if !maybePing(payload) {
		return false
	}
	// The string lies in the read buffer and is not used after this call.
	text := unsafe.String(unsafe.SliceData(payload), len(payload))
	found := false
	gjson.Parse(text).ForEach(func(key, value gjson.Result) bool {
		if key.Str == "event" {
			found = value.Type == gjson.String && value.Str == "ping"
		}
		return true
	})
	// ForEach is lenient, so what it took for a ping still has to be checked.
	return found && jsoncheck.Valid(payload)
}

// maybePing spares nearly all messages the parser: without a \u escape both words
// must be there as they are.
func maybePing(payload []byte) bool {
	i := 0
	for i < len(payload) && (payload[i] == ' ' || payload[i] == '\t' || payload[i] == '\r' || payload[i] == '\n') {
		i++
	}
	if i == len(payload) || payload[i] != '{' {
		return false
	}
	switch {
	case bytes.Contains(payload, escape):
		return true
	case !bytes.Contains(payload, pingWord):
		return false
	default:
		return bytes.Contains(payload, eventWord)
	}
}

var (
	escape    = []byte(`\u`)
	pingWord  = []byte(`"ping"`)
	eventWord = []byte(`"event"`)
)
