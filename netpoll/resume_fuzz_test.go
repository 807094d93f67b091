package netpoll

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ws-gateway/netpoll/wire"
)

// FuzzWhatIsAboutTheSession has a client that was sent three messages, of which it has
// acknowledged one, say something about the session. It is an acknowledgement, or ends it.
func FuzzWhatIsAboutTheSession(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "2", "3", "4", "01", "+1", "-1", "1 ", "1\x00", "999999999999999999", "18446744073709551616", "\x1e", "\x1e1", `{"resumed":true}`} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, fragmented bool) {
		if !utf8.ValidString(text) {
			return
		}
		w := newRoams(t)
		c := w.clients[0]
		c.connect(0)
		w.turn()
		c.read(1 << 20)
		for range 3 {
			w.send(c.of, 0, 10)
		}
		w.turn()
		c.read(1 << 20)
		c.stream = append(c.stream, clientFrame(0x81, "\x1e1")...)
		text = "\x1e" + text
		if fragmented {
			c.stream = append(c.stream, clientFrame(0x01, text[:1])...)
			c.stream = append(c.stream, clientFrame(0x80, text[1:])...)
		} else {
			c.stream = append(c.stream, clientFrame(0x81, text)...)
		}
		c.write(len(c.stream))
		w.turn()
		s, kept := c.of, 0
		if s.closed == 0 {
			kept = s.conn.record().kept.len()
		}
		switch n, ack := wire.ParseAck([]byte(text)); {
		case len(c.stream) > 0 || len(text) > 4<<10:
		case strings.HasPrefix(text, "\x1e\x1e"):
			if s.closed > 0 || kept != 2 || len(s.got) != 1 || s.got[0] != text[1:] {
				t.Errorf("%q: %+v, %d are kept", text, s, kept)
			}
		case ack && n <= 3:
			if s.closed > 0 || kept != 3-max(1, int(n)) || len(s.got) != 0 {
				t.Errorf("%q: %+v, %d are kept", text, s, kept)
			}
		default:
			if s.closed != 1 || s.end.Cause != ProtocolError || len(s.got) != 0 {
				t.Errorf("%q: %+v", text, s)
			}
		}
	})
}
