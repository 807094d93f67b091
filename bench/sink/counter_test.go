package sink

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"ws-gateway/bench/load"
)

func count(t *testing.T, m *load.Message) Control {
	t.Helper()
	c, err := NewCounter(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return At(c.Addr())
}

// dial is for requests that no HTTP client sends.
func dial(t *testing.T, c Control) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestACounterCountsWhatItIsSent(t *testing.T) {
	m := message(t)
	c := count(t, m)
	bodies := []string{opened("x"), posted(m, 0, 0, "x", ""), `[` + opened("y") + `,` + posted(m, 0, 1, "x", "") + `,` + posted(m, 1, 0, "y", "") + `]`, closed("y")}
	for _, body := range bodies {
		post(t, c, body)
	}
	s := stats(t, c)
	if s.Open != 2 || s.Message != 3 || s.Close != 1 || s.Failed != 0 || s.Requests != 4 || s.Bytes < uint64(len(strings.Join(bodies, ""))) {
		t.Errorf("got %+v", s)
	}
	post(t, c, bodies[1])
	post(t, c, `nonsense`)
	if s := stats(t, c); s.Failed != 2 || s.Message != 3 || !strings.Contains(s.Failure, "message 0 of connection 0 came again") {
		t.Errorf("got %+v", s)
	}
}

func TestATallyNamesTheConnectionOfEachMessage(t *testing.T) {
	m := message(t)
	c := count(t, m)
	conn := dial(t, c)
	entry := func() uint32 {
		t.Helper()
		var b [load.TallyEntry]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint32(b[:])
	}
	if _, err := io.WriteString(conn, load.TallyRequest); err != nil {
		t.Fatal(err)
	}
	if hello := entry(); hello != load.TallyHello {
		t.Fatalf("it began with %d", hello)
	}
	post(t, c, opened("x"))
	post(t, c, posted(m, 7, 0, "x", ""))
	post(t, c, opened("y"))
	post(t, c, `[`+posted(m, 9, 0, "y", "")+`,`+posted(m, 7, 1, "x", "")+`]`)
	for _, want := range []uint32{7, 9, 7} {
		if got := entry(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestRequestsInPiecesAndOneBehindTheOtherAreAnswered(t *testing.T) {
	m := message(t)
	c := count(t, m)
	conn := dial(t, c)
	post(t, c, opened("x"))
	one := "POST /callback HTTP/1.1\r\nHost: x\r\nContent-Length: " + "132\r\n\r\n" + posted(m, 0, 0, "x", strings.Repeat(" ", 132-len(posted(m, 0, 0, "x", ""))))
	two := strings.Replace(one, "0000000000000000", "0000000000000001", 1)
	for _, piece := range []string{one[:10], one[10:100], one[100:] + two, "GET /nowhere HTTP/1.1\r\n\r\n"} {
		if _, err := io.WriteString(conn, piece); err != nil {
			t.Fatal(err)
		}
	}
	answers := make([]byte, 2*len(fine)+len(notFound))
	if _, err := io.ReadFull(conn, answers); err != nil || string(answers) != string(fine)+string(fine)+string(notFound) {
		t.Errorf("got %q, %v", answers, err)
	}
	if s := stats(t, c); s.Message != 2 || s.Failed != 0 {
		t.Errorf("got %+v", s)
	}
	if _, err := io.WriteString(conn, "what is this?\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(answers); err != io.EOF {
		t.Errorf("a connection of nonsense goes on: %v", err)
	}
	if s := stats(t, c); s.Failed != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestARequestsFirstLineNamesItsPath(t *testing.T) {
	for line, want := range map[string]string{"POST /callback HTTP/1.1": "/callback", "hello": "", "POST /callback": "", "GET / HTTP/1.0": ""} {
		if path, ok := pathOf([]byte(line)); ok != (want != "") || ok && string(path) != want {
			t.Errorf("%q: %q, %v", line, path, ok)
		}
	}
}
