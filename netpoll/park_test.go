package netpoll

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ws-gateway/netpoll/wire"
)

// parker postpones every verdict.
type parker struct {
	*recorder
	asked chan ID
}

func newParker() parker { return parker{newRecorder(), make(chan ID, 10_000)} }

func (p parker) Upgrade(c *Conn, _ *wire.Request) Verdict {
	p.asked <- c.ID()
	return Verdict{Pending: true}
}

// unpark brings v on the loop and returns whether it was wanted.
func unpark(s *Server, id ID, v Verdict) bool {
	wanted := make(chan bool)
	s.Loops()[id.Loop()].Post(func(l *Loop) bool {
		parked := l.Parked(id)
		unparked := l.Unpark(id, v)
		wanted <- parked && unparked
		return false
	})
	return <-wanted
}

// knock sends a handshake, and what is to follow it, and reads nothing.
func knock(t *testing.T, addr, more string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, testHandshake+more); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func TestAParkedHandshakeIsOpenedByALaterVerdictWithAllThatCameEarly(t *testing.T) {
	h := newParker()
	s, addr := startServer(t, Config{Handler: h, Compression: true})
	c := knock(t, addr, string(clientFrame(0x81, "with the head")))
	id := <-h.asked
	c.Write(clientFrame(0x81, "early"))
	if !unpark(s, id, Verdict{}) {
		t.Fatal("the verdict came too late")
	}
	c.Write(append(clientFrame(0x81, "in time"), clientFrame(0x88, "")...))
	got, err := io.ReadAll(c)
	if want := "\r\n\r\n\x81\x0dwith the head\x81\x05early\x81\x07in time\x88\x00"; err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 101 ") || !strings.HasSuffix(string(got), want) {
		t.Errorf("got %q, %v", got, err)
	}
	if end := h.only(t); end.Cause != PeerClosed {
		t.Errorf("ended with %+v", end)
	}
	if unpark(s, id, Verdict{}) {
		t.Error("a second verdict was wanted")
	}
}

func TestAParkedHandshakeIsRefusedWithTheBodyOfTheVerdict(t *testing.T) {
	h := newParker()
	s, addr := startServer(t, Config{Handler: h})
	c := knock(t, addr, "")
	content := `{"error":"not you"}`
	unpark(s, <-h.asked, Verdict{Status: 403, Body: &Body{Type: "application/json\r\nX: y", Content: []byte(content)}})
	got, err := io.ReadAll(c)
	want := "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json  X: y\r\nContent-Length: 19\r\nConnection: close\r\n\r\n" + content
	if string(got) != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ends) != 0 {
		t.Errorf("a connection that never was open ended: %v", h.ends)
	}
}

func TestAClientThatVanishesWhileParkedIsForgottenAtOnce(t *testing.T) {
	for _, reset := range []bool{false, true} {
		h := newParker()
		s, addr := startServer(t, Config{Handler: h})
		c := knock(t, addr, "")
		id := <-h.asked
		if reset {
			c.SetLinger(0)
		}
		c.Close()
		gone := make(chan struct{})
		s.Loops()[id.Loop()].Post(func(l *Loop) bool {
			if l.Parked(id) {
				return true
			}
			close(gone)
			return false
		})
		<-gone
		if unpark(s, id, Verdict{}) {
			t.Error("the verdict was wanted")
		}
	}
}

func TestThousandsOfParkedHandshakesHoldNothingUp(t *testing.T) {
	const many = 3000
	h := newParker()
	s, addr := startServer(t, Config{Handler: h})
	conns := make([]*net.TCPConn, many)
	ids := make([]ID, many)
	for i := range conns {
		conns[i] = knock(t, addr, "")
		ids[i] = <-h.asked
	}
	for i, id := range ids {
		v := Verdict{}
		if i%2 == 1 {
			v.Status = http.StatusForbidden
		}
		if !unpark(s, id, v) {
			t.Fatalf("verdict %d came too late", i)
		}
	}
	var clients sync.WaitGroup
	for i, c := range conns {
		clients.Go(func() {
			status := make([]byte, 12)
			io.ReadFull(c, status)
			if want := [2]string{"HTTP/1.1 101", "HTTP/1.1 403"}[i%2]; !bytes.Equal(status, []byte(want)) {
				t.Errorf("connection %d: %q, want %q", i, status, want)
			}
			c.Close()
		})
	}
	clients.Wait()
	h.await(t, "the ends of those that were opened", func() bool { return len(h.ends) == many/2 })
}

func TestStopDropsParkedHandshakes(t *testing.T) {
	h := newParker()
	s, addr := startServer(t, Config{Handler: h})
	c := knock(t, addr, "")
	<-h.asked
	if err := s.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the client was not reset")
	}
}
