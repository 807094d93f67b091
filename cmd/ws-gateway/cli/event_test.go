package cli

import (
	"strings"
	"testing"
)

func TestAnEventIsOneLineThatSaysWhatMatters(t *testing.T) {
	s := &surroundings{}
	for line, want := range map[string]string{
		`{"time":"2026-01-02T03:04:05.006Z","action":"open","user_name":"al\u001b","conn_id":"c1","remote_addr":"1.2.3.4:5"}`:                             `2026-01-02T03:04:05.006Z open    al\x1b       c1 from 1.2.3.4:5`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"message","user_name":"","conn_id":"c1","size":7,"data":{"a":1}}`:                                    `2026-01-02T03:04:05.006Z message ""           c1 7 B  {"a":1}`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"send","user_name":"bob","conn_id":"c1","size":9,"data":"a\nb","encoding":"text","truncated":true}`:  `2026-01-02T03:04:05.006Z send    bob          c1 9 B  a\nb…`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"send","user_name":"bob","conn_id":"c1","size":2,"data":"AAE=","encoding":"base64"}`:                 `2026-01-02T03:04:05.006Z send    bob          c1 2 B  base64 AAE=`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"close","user_name":"bob","conn_id":"c1","code":1008,"reason":"ping timeout","initiator":"gateway"}`: `2026-01-02T03:04:05.006Z close   bob          c1 1008 by gateway: ping timeout`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"away","user_name":"bob","conn_id":"c1"}`:                                                            `2026-01-02T03:04:05.006Z away    bob          c1 connection lost`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"resumed","user_name":"bob","conn_id":"c1","remote_addr":"1.2.3.4:6","away_ms":4711}`:                `2026-01-02T03:04:05.006Z resumed bob          c1 from 1.2.3.4:6 after 4.711s`,
		`{"dropped":120}`: "… 120 events left out; --rate shows more",
		`{"dropped":1}`:   "… 1 event left out; --rate shows more",
		`{"time":"2026-01-02T03:04:05.006Z","action":"heartbeat"}`: "",
		`{"something":"new"}`: "",
		`no JSON`:             "",
	} {
		var out strings.Builder
		s.out = &out
		if err := (&tail{s: s}).print([]byte(line)); err != nil || strings.TrimSuffix(out.String(), "\n") != want {
			t.Errorf("%s:\n%q, want\n%q; %v", line, &out, want, err)
		}
	}
	s.color, s.outTerminal = true, true
	e := event{Action: "close", Conn: "c", Initiator: "gateway"}
	if got := s.describe(&e); !strings.Contains(got, red+"close  "+noColor) {
		t.Errorf("in colour: %q", got)
	}
}
