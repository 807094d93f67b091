package badlink

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// linked is a Link to a server that echoes, and dials through it.
func linked(t *testing.T) (l *Link, dial func() net.Conn) {
	t.Helper()
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends with the connection
			}()
		}
	}()
	l, err = New(server.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, func() net.Conn {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// echoed is what comes back for a text; "" if the connection ends.
func echoed(c net.Conn, text string) string {
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return ""
	}
	return string(back)
}

func TestALinkCarriesWhatItIsGivenOnceItIsWell(t *testing.T) {
	l, dial := linked(t)
	c := dial()
	if got := echoed(c, "hello"); got != "hello" {
		t.Fatalf("%q came back", got)
	}
	l.begin(Cut, 0)
	if got := echoed(c, "hello"); got != "" {
		t.Errorf("%q came back through a link that was cut", got)
	}
	c = dial()
	if got := echoed(c, "hello"); got != "hello" {
		t.Errorf("%q came back after a cut", got)
	}
	l.begin(Finish, 0)
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a link that ends its connections: %d bytes, %v", n, err)
	}
	l.begin(Refuse, 0)
	if got := echoed(dial(), "hello"); got != "" {
		t.Errorf("%q came back through a link that refuses", got)
	}
	l.heal()
	c = dial()
	if got := echoed(c, "hello"); got != "hello" {
		t.Errorf("%q came back", got)
	}
	l.begin(Corrupt, 1)
	if got := echoed(c, "hello"); got != "hElLo" {
		t.Errorf("%q came back through a link that changes bytes", got)
	}
}

func TestALinkThatStallsDeliversLater(t *testing.T) {
	for _, f := range []Fault{Stall, Deaf, Mute} {
		l, dial := linked(t)
		c := dial()
		if got := echoed(c, "hello"); got != "hello" {
			t.Fatalf("%q came back", got)
		}
		l.begin(f, 0)
		answered := make(chan string)
		go func() { answered <- echoed(c, "later") }()
		select {
		case got := <-answered:
			t.Errorf("%v: %q came back while the link stalled", f, got)
		case <-time.After(20 * time.Millisecond): // longer would not show more
		}
		l.heal()
		if got := <-answered; got != "later" {
			t.Errorf("%v: %q came back", f, got)
		}
	}
}

func TestALinkIsWellWhenItHasMisbehaved(t *testing.T) {
	l, dial := linked(t)
	ctx, stop := context.WithCancel(t.Context())
	did := make(chan map[Fault]int)
	temper := Temper{Well: time.Millisecond, Fault: time.Millisecond, Longest: 2 * time.Millisecond, Only: []Fault{Cut, Stall}}
	go func() { did <- l.Misbehave(ctx, temper, rand.New(rand.NewPCG(1, 2))) }()
	for range 100 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			continue // reset before it was there
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Millisecond)) // it may be held up
		echoed(c, "hello")
		c.Close()
	}
	stop()
	if faults := <-did; len(faults) == 0 || faults[Cut]+faults[Stall] == 0 || len(faults) > 2 {
		t.Errorf("it was to cut and stall, and did %v", faults)
	}
	if got := echoed(dial(), "hello"); got != "hello" {
		t.Errorf("%q came back", got)
	}
}
