package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/hub"
)

// line is a line of the stream, as far as tests look at it.
type line struct {
	Time      time.Time       `json:"time"`
	Action    string          `json:"action"`
	User      string          `json:"user_name"`
	ConnID    string          `json:"conn_id"`
	Remote    string          `json:"remote_addr"`
	Size      int             `json:"size"`
	Data      json.RawMessage `json:"data"`
	Encoding  string          `json:"encoding"`
	Truncated bool            `json:"truncated"`
	Code      int             `json:"code"`
	Reason    string          `json:"reason"`
	Initiator string          `json:"initiator"`
	Dropped   int             `json:"dropped"`
}

// stream is a stream of events that is being read.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	end   func()
}

// follow opens a stream and reads the heartbeat that it begins with.
func (r *rig) follow(query string) *stream {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	q, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+"/tapr/ws/conn/events?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := r.http.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	s := &stream{r.t, bufio.NewScanner(answer.Body), func() {
		cancel()
		answer.Body.Close()
	}}
	r.t.Cleanup(s.end)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != linesType {
		r.t.Fatalf("status %d, %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	if first := s.next(); first.Action != "heartbeat" || first.Time.IsZero() {
		r.t.Fatalf("the stream begins with %+v", first)
	}
	return s
}

func (s *stream) next() (l line) {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the stream has ended: %v", s.lines.Err())
	}
	if err := json.Unmarshal(s.lines.Bytes(), &l); err != nil {
		s.t.Fatalf("%q: %v", s.lines.Text(), err)
	}
	return l
}

func say(t *testing.T, c *websocket.Conn, kind websocket.MessageType, message string) {
	t.Helper()
	if err := c.Write(t.Context(), kind, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreStreamedAsTheyHappen(t *testing.T) {
	r := newRig(t)
	s := r.follow("payload=1")
	c := r.dial("al\"ice", "probe")
	open := s.next()
	if open.Action != "open" || open.User != "al\"ice" || open.ConnID == "" || open.Time.IsZero() || !strings.HasPrefix(open.Remote, "127.0.0.1:") {
		t.Fatalf("open: %+v", open)
	}
	for _, m := range []struct {
		kind                    websocket.MessageType
		message, data, encoding string
		truncated               bool
	}{
		{websocket.MessageText, "{\"n\":\n12345678901234567890}", `{"n": 12345678901234567890}`, "", false},
		{websocket.MessageText, "plain\n", `"plain\n"`, "text", false},
		{websocket.MessageText, "", `""`, "text", false},
		{websocket.MessageBinary, "\x01\x02", `"AQI="`, "base64", false},
		{websocket.MessageText, strings.Repeat("7", 2000), `"` + strings.Repeat("7", hub.MaxTapData) + `"`, "text", true},
	} {
		say(t, c, m.kind, m.message)
		got := s.next()
		if got.Action != "message" || got.Size != len(m.message) || string(got.Data) != m.data || got.Encoding != m.encoding || got.Truncated != m.truncated || got.ConnID != open.ConnID {
			t.Errorf("%.40q: %+v", m.message, got)
		}
	}
	r.do("POST", "/tapr/ws/conn/send", `{"payload":[1],"users":["al\"ice"]}`)
	if got := s.next(); got.Action != "send" || string(got.Data) != "[1]" || got.Size != 3 {
		t.Errorf("send: %+v", got)
	}
	r.do("POST", "/tapr/ws/conn/close", fmt.Sprintf(`{"conns":[%q],"code":4001,"reason":"kicked"}`, open.ConnID))
	if got := s.next(); got.Action != "close" || got.Code != 4001 || got.Reason != "kicked" || got.Initiator != "app" {
		t.Errorf("close: %+v", got)
	}
}

func TestAStreamHasWhatItsQuerySelectsAndNoPayload(t *testing.T) {
	r := newRig(t)
	s := r.follow("user=alice&user=carol&action=message&action=ping")
	for _, user := range []string{"alice", "bob", "carol"} {
		c := r.dial(user, "probe")
		say(t, c, websocket.MessageText, `{"private":1}`)
		say(t, c, websocket.MessageText, `{"event":"ping"}`)
		r.expect(c, websocket.MessageText, `{"event":"pong"}`)
	}
	var got []string
	for range 4 {
		l := s.next()
		got = append(got, l.User+" "+l.Action)
		if l.Data != nil || strings.Contains(s.lines.Text(), "private") {
			t.Errorf("%q has a payload", s.lines.Text())
		}
	}
	if text := strings.Join(got, ", "); text != "alice message, alice ping, carol message, carol ping" {
		t.Error(text)
	}
}

func TestAQueryThatCannotBeMeantIsRefused(t *testing.T) {
	r := newRig(t)
	for query, why := range map[string]string{
		"rate=0": "rate must be", "rate=1001": "rate must be", "rate=": "rate must be", "rate=x": "rate must be",
		"action=heartbeat": "action must be", "action=": "action must be", "payload=yes": "payload must be",
		"payload": "payload must be", "payload=": "payload must be", "conn_id=": "conn_id is empty", "group=": "cannot be the name of a group", "usr=a": "unknown query parameter usr",
	} {
		got := r.do("GET", "/tapr/ws/conn/events?"+query, "")
		if got.status != http.StatusOK || !strings.Contains(got.body, `"code":400`) || !strings.Contains(got.body, why) {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if n := r.hub.Stats().Taps; n != 0 {
		t.Errorf("%d taps are left", n)
	}
}

func TestWhatIsOverTheRateIsLeftOutAndCounted(t *testing.T) {
	r := newRig(t)
	c := r.dial("alice", "probe")
	s := r.follow("rate=3")
	const said = 50
	for range said {
		say(t, c, websocket.MessageText, "x")
	}
	shown, dropped := 0, 0
	for shown+dropped < said {
		switch l := s.next(); l.Action {
		case "message":
			shown++
		default:
			dropped += l.Dropped
		}
	}
	// How many came through depends on how long it took; that a burst of 50 was
	// not all of it three a second does not.
	if shown+dropped != said || shown < 3 || dropped == 0 {
		t.Errorf("%d shown, %d left out", shown, dropped)
	}
}

func TestAQuietStreamHasHeartbeats(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.heartbeats = time.Millisecond })
	s := r.follow("user=nobody")
	for range 3 {
		if l := s.next(); l.Action != "heartbeat" {
			t.Errorf("%+v", l)
		}
	}
}

func TestTooManyStreamsAreRefusedAndAReaderThatLeavesMakesRoom(t *testing.T) {
	r := newRig(t)
	var streams []*stream
	for range hub.MaxTaps {
		streams = append(streams, r.follow(""))
	}
	if got := r.do("GET", "/tapr/ws/conn/events", ""); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "16 at most") {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	if s := r.hub.Stats(); s.TapsRefused != 1 {
		t.Errorf("%d refused", s.TapsRefused)
	}
	for _, s := range streams {
		s.end()
	}
	await(t, "all streams to end", func() bool { return r.hub.Stats().Taps == 0 })
}

func TestAReaderThatTakesNothingIsLeft(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.eventWrite = 50 * time.Millisecond })
	from := newCrowd()
	r.serve(from)
	from.from(t, "127.0.0.1:9").write("GET /tapr/ws/conn/events HTTP/1.1\r\nHost: localhost\r\n\r\n") // a pipe takes what is read of it
	await(t, "the stream to be given up", func() bool {
		return r.metric("ws_gateway_api_requests_total", "failed", "events") == 1 && r.hub.Stats().Taps == 0
	})
}

func TestShutdownEndsStreams(t *testing.T) {
	r := newRig(t)
	s := r.follow("")
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if err := r.admin.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if s.lines.Scan() || s.lines.Err() != nil {
		t.Errorf("%q, %v instead of an orderly end", s.lines.Text(), s.lines.Err())
	}
}

func TestAStreamNeedsHTTP11AndHeadOpensNone(t *testing.T) {
	r := newRig(t)
	if got := r.wire().write("GET /tapr/ws/conn/events HTTP/1.0\r\n\r\n").read("GET"); got.status != http.StatusHTTPVersionNotSupported {
		t.Errorf("HTTP/1.0: %d %s", got.status, got.body)
	}
	if got := r.do("HEAD", "/tapr/ws/conn/events", ""); got.status != http.StatusOK || r.hub.Stats().Taps != 0 {
		t.Errorf("HEAD: %d", got.status)
	}
}

func TestTheRateIsGrantedAsTimePasses(t *testing.T) {
	r := newRig(t)
	c := r.dial("alice", "probe")
	tap, err := r.hub.Tap(hub.TapFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	e := eventStream{server: r.admin, tap: tap, rate: 3}
	for _, turn := range []struct {
		passed time.Duration
		shown  int
	}{
		{300 * time.Millisecond, 0}, {100 * time.Millisecond, 1}, {time.Second, 3}, {250 * time.Millisecond, 0}, {250 * time.Millisecond, 1},
		{time.Hour, 3}, {time.Nanosecond, 0},
	} {
		e.allow(turn.passed)
		const said = 5
		for range said {
			say(t, c, websocket.MessageText, "x")
		}
		shown, dropped := 0, uint64(0)
		await(t, "the messages", func() bool {
			events, lost := tap.Take(nil)
			shown += len(events)
			dropped += lost
			return shown+int(dropped) == said
		})
		if shown != turn.shown {
			t.Errorf("after %v more: %d shown, want %d", turn.passed, shown, turn.shown)
		}
	}
}

func TestAStreamOutlivesTheTimeForARequest(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.readTimeout, cfg.heartbeats = time.Second, time.Millisecond })
	s := r.follow("")
	for begin := time.Now(); time.Since(begin) < 3*time.Second/2; {
		s.next()
	}
}
