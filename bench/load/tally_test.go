package load

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// tallying serves a connection, and a tally that says what say makes of each of
// its messages.
func tallying(t *testing.T, say func(n int) []uint32, back string) (target, tally netip.AddrPort) {
	t.Helper()
	l, tally := listening(t, "127.0.0.1:0")
	entries, gone := make(chan uint32), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(gone)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		for entry := uint32(TallyHello); ; {
			b := binary.LittleEndian.AppendUint32(nil, entry)
			for _, part := range [][]byte{b[:1], b[1:]} {
				if _, err := c.Write(part); err != nil {
					return
				}
			}
			var more bool
			if entry, more = <-entries; !more {
				return
			}
		}
	}()
	target = rawServer(t, func(c net.Conn, in *bufio.Reader) {
		defer close(entries)
		var frame [2 + 4 + 64]byte
		for n := 0; ; n++ {
			if _, err := io.ReadFull(in, frame[:]); err != nil {
				return
			}
			_, _ = io.WriteString(c, back)
			for _, entry := range say(n) {
				select {
				case entries <- entry:
				case <-gone:
				}
			}
		}
	})
	t.Cleanup(func() { l.Close(); <-ended })
	return target, tally
}

func TestATallyIsAsGoodAsReplies(t *testing.T) {
	target, addr := tallying(t, func(int) []uint32 { return []uint32{0} }, "")
	c := connect(t, Config{Target: target}, 1)
	if err := c.Tally(addr); err != nil {
		t.Fatal(err)
	}
	x := c.Start(Traffic{Message: bare(t, 64), Depth: 5})
	x.Begin()
	until(t, c, replies(c)+100)
	r := x.End()
	if r.Failures != 0 || r.Messages < 100 || r.Latency.TotalCount() < 10 || r.Latency.TotalCount() > int64(r.Messages) {
		t.Errorf("%d messages, %d latencies, failures %q", r.Messages, r.Latency.TotalCount(), r.Details)
	}
	if most := int64(replies(c))/5 + 1; r.Latency.TotalCount() > most {
		t.Errorf("%d latencies, with 5 messages under way there can be %d", r.Latency.TotalCount(), most)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	c.Close() // ends both of the server's connections
}

func TestATallyThatIsWrongIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(n int) []uint32
		back string
		want string
	}{
		"a message too many":   {func(n int) []uint32 { return []uint32{0, 0, 0} }, "", "more messages than were sent"},
		"another connection":   {func(int) []uint32 { return []uint32{1} }, "", "names connection 1, which there is not"},
		"a reply nevertheless": {func(int) []uint32 { return nil }, "\x81\x02hi", "unasked for came"},
		"a message is missing": {func(int) []uint32 { return nil }, "", "had no reply"},
	} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan struct{}, 1)
			target, addr := tallying(t, func(n int) []uint32 {
				if n == 0 {
					sent <- struct{}{}
				}
				return c.say(n)
			}, c.back)
			client := connect(t, Config{Target: target}, 1)
			if err := client.Tally(addr); err != nil {
				t.Fatal(err)
			}
			x := client.Start(Traffic{Message: bare(t, 64), Drain: 1, Rate: 1000})
			var failures int
			var details []string
			if name != "a message is missing" {
				wait(t, func() bool {
					r := x.Lap()
					failures, details = failures+r.Failures, append(details, r.Details...)
					return failures > 0
				})
			} else {
				<-sent
			}
			r := x.End()
			client.Close()
			failures, details = failures+r.Failures, append(details, r.Details...)
			if failures == 0 || !strings.Contains(strings.Join(details, "; "), c.want) {
				t.Errorf("%d failures: %q", failures, details)
			}
		})
	}
}

func TestATallyThatIsNoneIsRefused(t *testing.T) {
	c := connect(t, Config{Target: echoServer(t)}, 1)
	if err := c.Tally(c.cfg.Target); err == nil || !strings.Contains(err.Error(), "it began with") {
		t.Errorf("got %v", err)
	}
}
