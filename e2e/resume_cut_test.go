package e2e_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// scissors is a proxy in front of a gateway that cuts its first connection after so many
// bytes of either direction, and lets the others pass.
type scissors struct {
	net.Listener
	to      string
	serving sync.WaitGroup
}

func cutAfter(t *testing.T, to string, up, down int64) *scissors {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scissors{Listener: ln, to: to}
	s.serving.Go(func() {
		for first := true; ; first = false {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			if first {
				s.serving.Go(func() { s.pass(client, up, down) })
			} else {
				s.serving.Go(func() { s.pass(client, 1<<40, 1<<40) })
			}
		}
	})
	t.Cleanup(s.end)
	return s
}

func (s *scissors) end() {
	s.Close()
	s.serving.Wait()
}

// pass copies both ways until one of them ends or is cut, which ends both.
func (s *scissors) pass(client net.Conn, up, down int64) {
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		client.Close()
		return
	}
	var ended sync.Once
	end := func() {
		for _, c := range []net.Conn{client, server} {
			_ = c.(*net.TCPConn).SetLinger(0) // what was on its way is lost
			c.Close()
		}
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.CopyN(server, client, up); ended.Do(end) })
	both.Go(func() { _, _ = io.CopyN(client, server, down); ended.Do(end) })
	both.Wait()
}

// talk has a client say n numbered messages and get the app's answer to each, over as many
// connections as that takes. It returns how many.
func (c *roamer) talk(n int) (connections int, err error) {
	lost := func(err error) bool { return err != nil }
	for connected := false; len(c.got) < n || c.has < uint64(n); {
		if connections > 5 {
			return connections, fmt.Errorf("%d connections, %d of %d messages: %w", connections, len(c.got), n, err)
		}
		if !connected {
			connections++
			if err = c.tryConnect(); lost(err) {
				if c.raw != nil {
					c.Close()
				}
				continue
			}
			connected = true
		}
		switch said := len(c.said); {
		case said < n && said-len(c.got) < 7: // some are under way at any time, in both directions
			err = c.trySay(opText, numbered(said))
		case len(c.got) < n:
			_, err = c.step()
		default:
			err = c.settle()
		}
		if lost(err) {
			connected = false
			c.Close()
		}
	}
	c.cut()
	return connections, nil
}

// A conversation is cut at the offsets of both directions, from the handshake on. Every
// offset is cut in netpoll (TestAConversationIsCutAtEveryByte); here it is each 23rd, which
// divides no frame's size, with all that is between client and app.
func TestAConversationThatIsCutAnywhereLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const messages, stride = 50, 23
	app := startApp(t)
	app.respond(func(c *call) reply {
		if c.event.Action != "message" {
			return reply{}
		}
		return reply{header: map[string]string{"Content-Type": "text/plain"}, body: "re " + string(c.event.Data)}
	})
	g := startGateway(t, app, "--resume-for", "10m", "--callback-reply")
	want := make([]string, messages)
	for i := range want {
		want[i] = "text re " + numbered(i)
	}
	converse := func(user string, up, down int64) (connections int) {
		s := cutAfter(t, g.Addr, up, down)
		c := &roamer{t: t, g: g, addr: s.Addr().String(), lines: []string{"X-Bfl-User: " + user}}
		connections, err := c.talk(messages)
		s.end()
		if err != nil {
			t.Errorf("%s: %v", user, err)
			return 2
		}
		if fmt.Sprint(c.got) != fmt.Sprint(want) {
			t.Errorf("%s: got %q", user, c.got)
		}
		app.inOrder(t, user, messages)
		return connections
	}
	var work sync.WaitGroup
	defer work.Wait()
	for _, direction := range []string{"up", "down"} {
		work.Go(func() {
			for offset := int64(0); !t.Failed(); offset += stride {
				up, down := offset, int64(1<<40)
				if direction == "down" {
					up, down = down, up
				}
				if converse(fmt.Sprintf("%s %d", direction, offset), up, down) == 1 {
					if offset < 800 {
						t.Errorf("%s: the whole conversation took %d bytes", direction, offset)
					}
					return // it was over before
				}
			}
		})
	}
}
