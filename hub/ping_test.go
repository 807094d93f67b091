package hub

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWhatIsAPing(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"event":"ping"}`:           true,
		`{"event":"ping","data":{}}`: true,
		"\t\r\n { \"data\" : [1, {}] , \"event\" : \"ping\" } \n":       true,
		`{"\u0065vent":"ping"}`:                                         true,
		`{"event":"\u0070\u0069ng"}`:                                    true,
		`{"\u0065\u0076\u0065\u006e\u0074":"\u0070\u0069\u006E\u0067"}`: true,
		`{"event":"x","event":"ping"}`:                                  true, // the last one counts
		`{"event":"ping","event":"x"}`:                                  false,
		`{"event":"ping","event":null}`:                                 false,
		`{"event":"Ping"}`:                                              false,
		`{"Event":"ping"}`:                                              false,
		`{"event":"ping "}`:                                             false,
		`{"event":["ping"]}`:                                            false,
		`{"event":{"event":"ping"}}`:                                    false,
		`{"data":{"event":"ping"}}`:                                     false,
		`{"event":"message","data":{"event":"ping"}}`:                   false,
		`{"data":"\"event\":\"ping\""}`:                                 false,
		`{"ping":"event"}`:                                              false,
		`["event","ping"]`:                                              false,
		`[{"event":"ping"}]`:                                            false,
		`"ping"`:                                                        false,
		`ping`:                                                          false,
		``:                                                              false,
		`  `:                                                            false,
		`{`:                                                             false,
		`{"event":"ping"`:                                               false,
		`{"event":"ping",}`:                                             false,
		`{"event":"ping"} {}`:                                           false,
		`{"event":"ping"}x`:                                             false,
		`{'event':'ping'}`:                                              false,
		`{"event" "ping"}`:                                              false,
		`{"a":` + strings.Repeat("[", 1<<16) + `,"event":"ping"}`: false,
	} {
		if got := isPing([]byte(payload)); got != want {
			t.Errorf("%.80q is a ping: %v", payload, got)
		}
	}
}

func FuzzIsPing(f *testing.F) {
	for _, s := range []string{`{"event":"ping"}`, `{"\u0065vent":"p\u0069ng","data":[{}]}`, `{"event":"ping","event":1}`, `{"a":"\\","event":"ping"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !utf8.Valid(payload) || len(payload) > 1<<12 {
			return // not a text message; deeper than either parser goes
		}
		var object map[string]any
		want := json.Unmarshal(payload, &object) == nil && object["event"] == "ping"
		if got := isPing(payload); got != want {
			t.Errorf("%q is a ping: %v", payload, got)
		}
	})
}

func BenchmarkIsPing(b *testing.B) {
	for name, payload := range map[string]string{
		"ping":    `{"event":"ping","data":{}}`,
		"message": `{"event":"move","data":{"x":12.5,"y":-3,"who":"alice","path":[1,2,3,4,5,6,7,8]}}`,
		"text":    "hello, world",
	} {
		b.Run(name, func(b *testing.B) {
			message := []byte(payload)
			b.ReportAllocs()
			for b.Loop() {
				isPing(message)
			}
		})
	}
}
