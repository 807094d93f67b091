package hub

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/gjson"

	"ws-gateway/jsoncheck"
)

// pongMessage is the answer to a ping message. Clients compare these bytes.
var pongMessage = []byte(`{"event":"pong"}`)

// isPing reports whether a text message is the client's ping: a JSON object
// whose top-level member "event" is the string "ping". Of members that repeat,
// the last one counts, as for JSON.parse.
func isPing(payload []byte) bool {
	if !maybePing(payload) {
		return false
	}
	// The string is of the read buffer and ends with this call.
	text := unsafe.String(unsafe.SliceData(payload), len(payload))
	found := false
	gjson.Parse(text).ForEach(func(key, value gjson.Result) bool {
		if key.Str == "event" {
			found = value.Type == gjson.String && value.Str == "ping"
		}
		return true
	})
	// The walk is lenient, and only what it took for a ping needs the check.
	return found && jsoncheck.Valid(payload)
}

// maybePing keeps the parser off nearly all messages. A letter of the two words
// can only be disguised by a \u escape.
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
