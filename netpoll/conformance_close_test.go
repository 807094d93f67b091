package netpoll

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestConformance7Closing(t *testing.T) {
	addr := echoServer(t)
	text, echo := clientFrame(0x81, "Hello World!"), serverFrame(0x81, "Hello World!")
	ends, ping := clientFrame(0x88, closePayload(1000, "")), clientFrame(0x89, "")
	big := strings.Repeat("BAsd7&jh23", 26_215) // 256 KiB
	longest := strings.Repeat("*", 123)
	for _, x := range []exchange{
		{name: "7.1.1 a message, then close", send: text, want: echo},
		{name: "7.1.2 close twice", send: join(ends, ends), code: 1000, after: true},
		{name: "7.1.3 ping after close", send: join(ends, ping), code: 1000, after: true},
		{name: "7.1.4 message after close", send: join(ends, text), code: 1000, after: true},
		{name: "7.1.5 close between fragments", send: join(clientFrame(0x01, "fragment1"), ends, clientFrame(0x80, "fragment2")), code: 1000, after: true},
		{name: "7.1.6 a large message, close and ping", send: join(clientFrame(0x81, big), ends, ping), want: serverFrame(0x81, big), code: 1000, after: true},
		{name: "garbage after close", send: join(ends, []byte("\xff\xff\xff\xff\xff\xff")), code: 1000, after: true},
		{name: "7.3.1 close without payload", send: clientFrame(0x88, ""), code: 1005},
		{name: "7.3.2 close with one byte", send: clientFrame(0x88, "a"), code: 1002},
		{name: "7.3.3 close with a code", send: clientFrame(0x88, closePayload(1000, "")), code: 1000},
		{name: "7.3.4 close with a code and a reason", send: clientFrame(0x88, closePayload(1000, "Hello World!")), code: 1000},
		{name: "7.3.5 close with the longest reason", send: clientFrame(0x88, closePayload(1000, longest)), code: 1000},
		{name: "close with the longest reason of runes", send: clientFrame(0x88, closePayload(1000, strings.Repeat("é", 61))), code: 1000},
		{name: "7.3.6 close with a longer reason", send: clientFrame(0x88, closePayload(1000, longest+"*")), code: 1002},
		{name: "7.5.1 close with a reason that is not UTF-8", send: clientFrame(0x88, closePayload(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64")), code: 1007},
		{name: "close with a reason cut in a rune", send: clientFrame(0x88, closePayload(1000, "\xe2\x82")), code: 1007},
		{name: "a message, then a bad close", send: join(text, clientFrame(0x88, "a")), want: echo, code: 1002},
	} {
		x.run(t, addr)
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014} {
		for _, reason := range []string{"", "why not"} {
			t.Run(fmt.Sprintf("7.7.%d code %d with %q", i+1, code, reason), func(t *testing.T) {
				c := dialRaw(t, addr)
				c.Write(clientFrame(0x88, closePayload(code, reason)))
				if got, err := io.ReadAll(c); err != nil || string(got) != "\x88\x02"+closePayload(code, "") {
					t.Errorf("answered with %q, %v", got, err)
				}
			})
		}
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		exchange{name: fmt.Sprintf("7.9.%d code %d", i+1, code), send: clientFrame(0x88, closePayload(code, "")), code: 1002}.run(t, addr)
		exchange{name: fmt.Sprintf("7.9.%d code %d with a reason", i+1, code), send: clientFrame(0x88, closePayload(code, "why")), code: 1002}.run(t, addr)
	}
	for i, code := range []int{5000, 65535} {
		exchange{name: fmt.Sprintf("7.13.%d code %d", i+1, code), send: clientFrame(0x88, closePayload(code, "")), code: 1002}.run(t, addr)
	}
}

func TestWhenBothCloseAtTheSameTimeEachSendsOneCloseFrame(t *testing.T) {
	h := newRecorder()
	s, addr := startServer(t, Config{Handler: h, Loops: 1})
	for i := range 50 {
		c := dialRaw(t, addr)
		h.await(t, "open", func() bool { return len(h.opened) == i+1 })
		closed := make(chan struct{})
		ask := func() {
			s.Loops()[0].Post(func(l *Loop) bool {
				if conn := l.Lookup(h.opened[i]); conn != nil {
					conn.Close(AppClosed, 4001, "bye")
				}
				close(closed)
				return false
			})
		}
		ours := join(clientFrame(0x81, "late"), clientFrame(0x88, closePayload(1000, "")))
		switch i % 3 {
		case 0: // the server first: our frames cross its own
			ask()
			<-closed
			c.Write(ours)
		case 1: // both
			go ask()
			c.Write(ours)
		case 2: // the client first
			c.Write(ours)
			ask()
		}
		got, err := io.ReadAll(c)
		<-closed
		theirs := "\x88\x05" + closePayload(4001, "bye")
		answer := string(serverFrame(0x81, "late")) + "\x88\x02" + closePayload(1000, "")
		late := string(serverFrame(0x81, "late")) + theirs
		if err != nil || string(got) != theirs && (i%3 == 0 || string(got) != answer && string(got) != late) {
			t.Errorf("%d: got %q, %v", i, got, err)
		}
		h.await(t, "the end", func() bool { return len(h.ends[h.opened[i]]) == 1 })
	}
}
