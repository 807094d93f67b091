package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// inSession is a session of which the gateway has two messages, and not yet the two that
// were sent after those. One more waits.
func inSession(t *testing.T) *session {
	s := new(session)
	if _, err := s.begin(greeting{ID: "c", Token: "t", For: 60}); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		s.keep(message{websocket.MessageText, fmt.Append(nil, n)})
	}
	for range 4 {
		s.next()
	}
	if err := s.confirm(2); err != nil {
		t.Fatal(err)
	}
	return s
}

func rest(s *session) string {
	var all []string
	for {
		m, more := s.next()
		if !more {
			return strings.Join(all, " ")
		}
		all = append(all, string(m.data))
	}
}

func TestASessionSendsAgainWhatTheGatewayLacks(t *testing.T) {
	s := inSession(t)
	lost, err := s.begin(greeting{Resumed: true, ID: "c", Token: "t2", Received: 3})
	if got := rest(s); err != nil || len(lost) != 0 || got != "3 4" || s.token != "t2" {
		t.Errorf("%q, lost %d, %v", got, len(lost), err)
	}
}

func TestANewSessionSendsOnlyWhatWasNeverSent(t *testing.T) {
	s := inSession(t)
	s.received = 7
	lost, err := s.begin(greeting{ID: "d", Token: "u"})
	if got := rest(s); err != nil || len(lost) != 2 || string(lost[0].data) != "2" || got != "4" || s.received != 0 || s.confirm(2) == nil {
		t.Errorf("%q, lost %d, %v", got, len(lost), err)
	}
}

func TestASessionBelievesNoImpossibleCount(t *testing.T) {
	for n, want := range map[uint64]bool{0: true, 2: true, 4: true, 5: false, 1 << 63: false} {
		if err := inSession(t).confirm(n); (err == nil) != want {
			t.Errorf("confirmed %d: %v", n, err)
		}
	}
	for n, want := range map[uint64]bool{1: false, 2: true, 4: true, 5: false} {
		if _, err := inSession(t).begin(greeting{Resumed: true, Token: "t2", Received: n}); (err == nil) != want {
			t.Errorf("resumed with %d: %v", n, err)
		}
	}
	if _, err := new(session).begin(greeting{Resumed: true, Token: "t"}); err == nil {
		t.Error("a session that there was not has been resumed")
	}
}

func TestWhatIsAboutTheSessionIsToldFromMessages(t *testing.T) {
	for data, want := range map[string]string{
		"a": "a", "": "", "\x1e\x1e1": "\x1e1", "\x1e\x1e": "\x1e",
		"\x1e3": "none", "\x1e": "error", "\x1ex": "error", "\x1e-1": "error", "\x1e9": "error", "\x1e99999999999999999999": "error",
	} {
		s := inSession(t)
		a := arrival{kind: websocket.MessageText, data: []byte(data)}
		isMessage, err := s.take(&a)
		got := string(a.data)
		switch {
		case err != nil:
			got = "error"
		case !isMessage:
			got = "none"
		}
		if got != want || isMessage != (s.received == 1) {
			t.Errorf("%q: got %q, want %q; %d received", data, got, want, s.received)
		}
	}
	bytes := arrival{kind: websocket.MessageBinary, data: []byte("\x1e3")}
	if isMessage, err := inSession(t).take(&bytes); !isMessage || err != nil || string(bytes.data) != "\x1e3" {
		t.Errorf("binary: %v, %v, %q", isMessage, err, bytes.data)
	}
}

func TestAGreetingThatIsNoneIsRefused(t *testing.T) {
	for _, text := range []string{"", "hello", "\x1e", "\x1e1", "\x1e{", `{"token":"t"}`, "\x1e{\"resumed\":true}"} {
		if g, err := parseGreeting(websocket.MessageText, []byte(text)); err == nil {
			t.Errorf("%q: %+v", text, g)
		}
	}
}

func TestNoMoreLinesAreReadWhileTooMuchWaits(t *testing.T) {
	s := inSession(t)
	for range maxKept - 4 {
		s.keep(message{websocket.MessageText, nil})
	}
	if s.full() {
		t.Error("full too early")
	}
	s.keep(message{websocket.MessageText, nil})
	if !s.full() {
		t.Error("not full")
	}
	if err := s.confirm(4); err != nil || s.full() {
		t.Errorf("still full: %v", err)
	}
	s.keep(message{websocket.MessageText, make([]byte, maxKeptBytes)})
	if !s.full() {
		t.Error("not full of bytes")
	}
}
