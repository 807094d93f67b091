package netpoll

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/netpoll/wire"
)

// ofServer is the Resumer of one of several servers: names of its connections begin with
// its letter.
type ofServer struct {
	letter byte
	names  returns
	refuse atomic.Int32 // the status of Admit
}

func (r *ofServer) AppendID(dst []byte, id ID) []byte {
	return r.names.AppendID(append(dst, r.letter), id)
}

func (r *ofServer) ParseID(name []byte) (id ID, ok bool) {
	if len(name) == 0 || name[0] != r.letter {
		return 0, false
	}
	return r.names.ParseID(name[1:])
}

func (r *ofServer) Identity(l *Loop, q *wire.Request) []byte       { return r.names.Identity(l, q) }
func (r *ofServer) ClientAddr(_ *Loop, q *wire.Request) netip.Addr { return q.Remote.Addr() }

func (r *ofServer) Admit(*Loop, *wire.Request) Verdict { return Verdict{Status: int(r.refuse.Load())} }
func (r *ofServer) Away(*Conn)                         {}
func (r *ofServer) Acknowledged(*Conn, bool)           {}

func (r *ofServer) Returned(*Conn, *wire.Request, time.Duration) {}

// relaying are two servers: handshakes that come here and want a session there are given to
// relay.
type relaying struct {
	t           *testing.T
	here, there *Server
	at          *recorder // of there
	resumers    [2]ofServer
	addrs       [2]string
	asked       atomic.Int32
}

func newRelaying(t *testing.T, relay func(w *relaying, id ID, h *Handshake)) *relaying {
	w := &relaying{t: t, at: newRecorder()}
	w.resumers[0].letter, w.resumers[1].letter = 'h', 't'
	cfg := Config{Handler: newRecorder(), Resumer: &w.resumers[0], ResumeFor: time.Hour, Loops: 2, CloseTimeout: patience, HandshakeTimeout: patience}
	cfg.Relay = func(name []byte, _ uint32, _ netip.Addr) func(*Handshake) {
		id, ok := w.resumers[1].ParseID(name)
		if !ok {
			return nil
		}
		w.asked.Add(1)
		return func(h *Handshake) { relay(w, id, h) }
	}
	home := cfg
	home.Handler, home.Resumer, home.Relay = w.at, &w.resumers[1], nil
	w.there, w.addrs[1] = startServer(t, home)
	w.here, w.addrs[0] = startServer(t, cfg)
	return w
}

// carried relays as package relay of the cluster does, without the packets.
func carried(w *relaying, id ID, h *Handshake) {
	err := w.there.TakeRelayed(id, Relayed{Peer: h.Peer, Head: h.Head}, func(tr *Transport, err error) {
		if err != nil {
			h.Decline()
			return
		}
		go func() {
			session, err := tr.Conn()
			if err != nil {
				w.t.Error(err)
				return
			}
			client, err := h.Conn()
			if err != nil {
				w.t.Error(err)
				return
			}
			session.Write(h.Rest)
			go func() {
				io.Copy(session, client)
				session.(*net.UnixConn).CloseWrite()
			}()
			io.Copy(client, session)
			client.Close()
			session.Close()
		}()
	})
	if err != nil {
		h.Decline()
	}
}

// comer is a client.
type comer struct {
	*net.TCPConn
	t     *testing.T
	in    *bufio.Reader
	token string
	id    string
}

func connect(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// come connects to a server, with a token if there is one. behind is sent in the same packet.
func (w *relaying) come(server int, token, behind string, lines ...string) (c *comer, resumed bool) {
	w.t.Helper()
	c = &comer{TCPConn: connect(w.t, w.addrs[server]), t: w.t}
	c.in = bufio.NewReader(c)
	offer := wire.ResumeProtocol
	if token != "" {
		offer += ", " + wire.ResumeProtocol + "." + token + ".0"
	}
	lines = append(lines, "Sec-WebSocket-Protocol: "+offer)
	io.WriteString(c, strings.Replace(testHandshake, "\r\n\r\n", "\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n", 1)+behind)
	response, err := http.ReadResponse(c.in, nil)
	if err != nil || response.StatusCode != 101 {
		w.t.Fatalf("%v %v", response, err)
	}
	var g struct {
		Resumed   bool
		Token, ID string
	}
	if text := c.next(); json.Unmarshal([]byte(text[1:]), &g) != nil {
		w.t.Fatalf("the greeting is %q", text)
	}
	c.token, c.id = g.Token, g.ID
	return c, g.Resumed
}

// next is the payload of the next frame, which is a short one.
func (c *comer) next() string {
	c.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:2]); err != nil {
		c.t.Fatal(err)
	}
	length := int(head[1])
	if length == 126 {
		io.ReadFull(c.in, head[2:])
		length = int(head[2])<<8 | int(head[3])
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		c.t.Fatal(err)
	}
	return string(payload)
}

func TestASessionOfAnotherServerIsResumedOnAPairOfSockets(t *testing.T) {
	w := newRelaying(t, carried)
	var all []*comer
	for range 4 { // on both loops
		c, _ := w.come(1, "", "")
		c.Close()
		back, resumed := w.come(0, c.token, string(clientFrame(0x81, "early")))
		if !resumed || back.id != c.id {
			t.Fatalf("the session was not resumed")
		}
		all = append(all, back)
		if got := back.next(); got != "early" {
			t.Errorf("echoed %q", got)
		}
		back.Write(clientFrame(0x81, "hello"))
		if got := back.next(); got != "hello" {
			t.Errorf("echoed %q", got)
		}
	}
	awaitStats(t, w.there, "four that are resumed", func(s Stats) bool { return s.Resumed == 4 })
	if n := w.asked.Load(); n != 4 {
		t.Errorf("%d asked for", n)
	}
	for i, c := range all {
		id, _ := w.resumers[1].ParseID([]byte(c.id))
		switch i {
		case 0: // the client closes
			c.Write(clientFrame(0x88, "\x0f\xa0"))
		case 1: // the app
			w.there.Loops()[id.Loop()].Post(func(l *Loop) bool {
				l.Lookup(id).Close(AppClosed, 4001, "")
				return false
			})
			c.Write(clientFrame(0x88, c.next()))
		case 2: // it comes back: the new transport wins
			if _, resumed := w.come(1, c.token, ""); !resumed {
				t.Error("not resumed at home")
			}
		case 3: // it is cut
			c.SetLinger(0)
			c.Close()
			continue
		}
		if _, err := io.ReadAll(c.in); err != nil && i < 2 {
			t.Errorf("%d: %v", i, err)
		}
		c.Close()
	}
	w.at.await(t, "two closes", func() bool { return len(w.at.ends) == 2 })
	for _, ends := range w.at.ends {
		if len(ends) != 1 || ends[0].Code != 4000 && ends[0].Code != 4001 {
			t.Errorf("%+v", ends)
		}
	}
}

func TestADeclinedHandshakeGetsANewSessionAndIsNotRelayedAgain(t *testing.T) {
	w := newRelaying(t, func(_ *relaying, _ ID, h *Handshake) { go h.Decline() })
	c, _ := w.come(1, "", "")
	c.Close()
	back, resumed := w.come(0, c.token, string(clientFrame(0x81, "early")))
	if resumed || back.id[0] != 'h' || w.asked.Load() != 1 {
		t.Errorf("resumed %v as %s, asked %d times", resumed, back.id, w.asked.Load())
	}
	if got := back.next(); got != "early" {
		t.Errorf("echoed %q", got)
	}
	awaitStats(t, w.here, "one missed token", func(s Stats) bool { return s.ResumesMissed[MissedToken] == 1 })
}

func TestAClientThatIsNotAdmittedIsNotRelayed(t *testing.T) {
	w := newRelaying(t, carried)
	c, _ := w.come(1, "", "")
	w.resumers[0].refuse.Store(503)
	r := connect(t, w.addrs[0])
	io.WriteString(r, strings.Replace(testHandshake, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: "+wire.ResumeProtocol+", "+wire.ResumeProtocol+"."+c.token+".0\r\n\r\n", 1))
	response, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil || response.StatusCode != 503 || w.asked.Load() != 0 {
		t.Errorf("%v %v, asked %d times", response, err, w.asked.Load())
	}
}

// alter changes a token within the MAC: it is base64url as before.
func alter(token string) string {
	altered := []byte(token)
	if last := &altered[len(altered)-10]; *last == 'A' {
		*last = 'B'
	} else {
		*last = 'A'
	}
	return string(altered)
}

func TestARelayedHandshakeIsCheckedAsOneOfOurOwn(t *testing.T) {
	w := newRelaying(t, carried)
	c, _ := w.come(1, "", "")
	id, _ := w.resumers[1].ParseID([]byte(c.id))
	head := func(token, path, more string) []byte {
		return []byte(strings.Replace(strings.Replace(testHandshake, "/ws", path, 1), "\r\n\r\n",
			"\r\n"+more+"Sec-WebSocket-Protocol: "+wire.ResumeProtocol+", "+wire.ResumeProtocol+"."+token+".0\r\n\r\n", 1))
	}
	altered := alter(c.token)
	for name, test := range map[string]struct {
		id   ID
		head []byte
	}{
		"altered":      {id, head(altered, "/ws", "")},
		"another user": {id, head(c.token, "/ws", "X-User: eve\r\n")},
		"another path": {id, head(c.token, "/tapr/ws/conn/list", "")},
		"another id":   {MakeID(1-id.Loop(), id.Slot(), id.Generation()), head(c.token, "/ws", "")},
		"no loop":      {MakeID(200, id.Slot(), id.Generation()), head(c.token, "/ws", "")},
		"no token":     {id, []byte(testHandshake)},
		"too long":     {id, head(c.token, "/ws", "X: "+strings.Repeat("x", 64<<10)+"\r\n")},
		"two requests": {id, append(head(c.token, "/ws", ""), testHandshake...)},
		"half":         {id, head(c.token, "/ws", "")[:20]},
		"nothing":      {id, nil},
	} {
		answers := make(chan error, 1)
		err := w.there.TakeRelayed(test.id, Relayed{Peer: netip.MustParseAddrPort("192.0.2.1:1"), Head: test.head}, func(tr *Transport, err error) {
			if tr != nil {
				tr.Close()
			}
			answers <- err
		})
		if err == nil {
			err = <-answers
		}
		if !errors.Is(err, ErrNotResumed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	awaitStats(t, w.there, "no handshake", func(s Stats) bool { return s.Handshaking == 0 })
}
