package netpoll

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"ws-gateway/netpoll/internal/wiretest"
)

// client is a client with a script of its own: what it is going to send waits in
// stream, and what it has got is checked as it comes.
type client struct {
	w     *world
	token int
	fd    int

	stream  []byte // to be written
	queued  int    // bytes that ever were in stream
	wholeAt []int  // of message i: queued when it was complete
	pings   int
	refused bool // asks to be refused
	deflate bool
	violate bool // the stream ends with what no server may take
	bye     string

	in         []byte // got and not understood yet
	upgraded   bool
	got        []string
	closeFrame string // code and reason

	halfClosed bool // it says no more
	deaf       bool // the gateway takes no more
	ended      bool // the gateway says no more
	gone       bool
	cutShort   bool // it went before the gateway did
}

func newClient(w *world, fd, n int) *client {
	c := &client{w: w, token: len(w.clients), fd: fd, refused: n>>4 == 0, deflate: n%4 == 1}
	w.clients = append(w.clients, c)
	target := "/ws?" + strconv.Itoa(c.token)
	if n%8 == 3 {
		target += "&park"
	}
	if c.refused {
		target += "&refuse"
	}
	extra := ""
	if c.deflate {
		extra = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	c.queue([]byte(strings.Replace(strings.Replace(testHandshake, "/ws", target, 1), "\r\n\r\n", "\r\n"+extra+"\r\n", 1)))
	return c
}

func (c *client) String() string {
	return fmt.Sprintf("%d: %d bytes to write, %d in part, upgraded %v, bye %q, half-closed %v, deaf %v, close %q, got %d",
		c.token, len(c.stream), len(c.in), c.upgraded, c.bye, c.halfClosed, c.deaf, c.closeFrame, len(c.got))
}

func (c *client) queue(b []byte) {
	c.stream = append(c.stream, b...)
	c.queued += len(b)
}

// mute reports whether nothing more should be queued: the stream has its end, or
// is long enough.
func (c *client) mute() bool { return c.bye != "" || c.violate || c.refused || len(c.stream) > 256<<10 }

const commands = "nnnneeebbfkxponn"

// queueMessage queues a message in one to three frames, with a ping between.
func (c *client) queueMessage(s *schedule) {
	n, size := s.next(), s.size()
	if c.mute() {
		return
	}
	seq := len(c.wholeAt)
	payload := clientPayload(c.token, seq, commands[n%len(commands)], size)
	op, packed := byte(frameKind(size)), byte(0)
	if c.deflate && n&16 != 0 {
		if out := wiretest.Deflate(c.w.t, payload, false); len(out) < len(payload) {
			payload, packed = out, 0x40
		}
	}
	switch pieces := n / 64; {
	case pieces == 0 || len(payload) < 4:
		c.queue(clientFrame(0x80|packed|op, string(payload)))
	default:
		cut := len(payload) * pieces / 5
		c.queue(clientFrame(packed|op, string(payload[:cut])))
		c.queuePing()
		c.queue(clientFrame(0, string(payload[cut:cut+1])))
		c.queue(clientFrame(0x80, string(payload[cut+1:])))
	}
	c.wholeAt = append(c.wholeAt, c.queued)
}

func (c *client) queuePing() {
	if !c.mute() {
		c.queue(clientFrame(0x89, pingPayload(c.token, c.pings)))
		c.pings++
	}
}

func (c *client) queueClose(s *schedule) {
	if c.bye != "" || c.violate || c.refused {
		return
	}
	code := 3000 + s.next()
	c.bye = fmt.Sprintf("%d bye", code)
	c.queue(clientFrame(0x88, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+"bye"))
}

// queueViolation queues something for which there is only one answer.
func (c *client) queueViolation(s *schedule) {
	n := s.next()
	if c.mute() {
		return
	}
	c.violate = true
	c.queue([][]byte{
		{0x81, 0x01, 'x'},
		clientFrame(0x80, "nothing to continue"),
		clientFrame(0x82, strings.Repeat("x", fuzzMessage+1)),
		clientFrame(0x81, "\xff"),
		clientFrame(0xA1, "reserved bit"),
		clientFrame(0x88, "\x03\xed"),
	}[n%6])
}

// write writes up to n bytes of the stream.
func (c *client) write(n int) int {
	n = min(n, len(c.stream))
	if n == 0 || c.deaf || c.gone || c.halfClosed {
		return 0
	}
	n, err := unix.Write(c.fd, c.stream[:n])
	switch {
	case err == unix.EAGAIN:
		return 0
	case err != nil:
		c.deaf = true
		return 0
	}
	c.stream = c.stream[n:]
	return n
}

// read reads up to n bytes and looks at them.
func (c *client) read(n int) (sum int) {
	for buf := make([]byte, 4<<10); n > 0 && !c.ended && !c.gone; {
		got, err := unix.Read(c.fd, buf[:min(n, len(buf))])
		switch {
		case err == unix.EAGAIN:
			return sum
		case err != nil || got == 0:
			c.ended = true
			if err != nil && c.w.listener >= 0 {
				c.cutShort = true // a reset overtakes what was on its way
			}
			return sum + 1
		}
		n, sum = n-got, sum+got
		c.in = append(c.in, buf[:got]...)
		c.understand()
	}
	return sum
}

// halfClose ends what the client says, maybe in the middle of a frame.
func (c *client) halfClose() {
	if !c.halfClosed {
		c.halfClosed = true
		unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

// hangUp closes the socket. What has not been read by then makes it a reset.
func (c *client) hangUp() {
	if c.gone {
		return
	}
	c.cutShort = c.cutShort || !c.ended
	c.gone = true
	unix.Close(c.fd)
	for place, live := range c.w.live {
		if live == c {
			c.w.live[place] = nil
		}
	}
}

// understand takes apart what has come.
func (c *client) understand() {
	t := c.w.t
	if !c.upgraded {
		end := bytes.Index(c.in, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 101 ")) && !bytes.HasSuffix(c.in[end+4:], []byte("\n")) {
			return // a refusal whose text is still to come
		}
		if bytes.Contains(c.in, []byte("--header-memory is used up")) { // what came with its head was more than there is room for
			c.refused = true
			return
		}
		if want := map[bool]string{false: "HTTP/1.1 101 ", true: "HTTP/1.1 503 "}[c.refused]; !bytes.HasPrefix(c.in, []byte(want)) {
			t.Errorf("client %d: answered with %q", c.token, c.in[:end])
		}
		if c.refused {
			return
		}
		if agreed := bytes.Contains(c.in[:end], []byte("permessage-deflate")); agreed != c.deflate {
			t.Errorf("client %d: compression %v, want %v", c.token, agreed, c.deflate)
		}
		c.upgraded = true
		c.in = c.in[end+4:]
	}
	for {
		h, payload, rest, ok := cutFrame(c.in)
		if !ok {
			return
		}
		c.in = rest
		c.frame(h, payload)
	}
}

// frame checks that a frame is one that the gateway meant for this client.
func (c *client) frame(h ws.Header, payload []byte) {
	t := c.w.t
	if c.closeFrame != "" {
		t.Errorf("client %d: %+v behind the close frame", c.token, h)
	}
	if h.Masked || !h.Fin || h.Rsv&^4 != 0 || h.Rsv != 0 && !c.deflate {
		t.Errorf("client %d: header %+v", c.token, h)
		return
	}
	if h.Rsv != 0 {
		var err error
		if payload, err = wiretest.Inflate(payload); err != nil {
			t.Errorf("client %d: %v", c.token, err)
		}
	}
	switch h.OpCode {
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		c.closeFrame = fmt.Sprintf("%d %s", code, reason)
	case ws.OpPong:
		c.got = append(c.got, string(payload))
	default:
		c.got = append(c.got, serverMessage(t, h.OpCode, payload))
	}
}

// Payloads say whose they are and which, and the rest follows from that.

func frameKind(size int) ws.OpCode { return ws.OpText + ws.OpCode(size&1) }

func padded(head string, size int) []byte {
	b := append(make([]byte, 0, max(size, len(head))), head...)
	for len(b) < size {
		b = append(b, 'a'+byte((len(b)+len(head))%26))
	}
	return b
}

// clientPayload never exceeds fuzzMessage: size is at most one more.
func clientPayload(token, seq int, command byte, size int) []byte {
	size = min(size, fuzzMessage)
	return padded(fmt.Sprintf("client:%d:%d:%d:%c:", token, seq, size, command), size)
}

func serverPayload(token, seq, size int) []byte {
	return padded(fmt.Sprintf("server:%d:%d:%d:", token, seq, size), size)
}

func broadcastPayload(size int) []byte {
	return padded(fmt.Sprintf("broadcast:%d:", size), size)
}

func pingPayload(token, n int) string { return fmt.Sprintf("ping %d of %d", n, token) }

// serverMessage names a message as life.sent does.
func serverMessage(t *testing.T, op ws.OpCode, payload []byte) string {
	fields := strings.SplitN(string(payload[:min(len(payload), 64)]), ":", 5)
	number := func(i int) int {
		if i >= len(fields) {
			return -1
		}
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return -1
		}
		return n
	}
	if fields[0] == "broadcast" {
		if size := number(1); bytes.Equal(payload, broadcastPayload(size)) && op == frameKind(size) {
			return fmt.Sprintf("broadcast of %d", size)
		}
	}
	token, seq, size := number(1), number(2), number(3)
	if !bytes.Equal(payload, serverPayload(token, seq, size)) || op != frameKind(size) {
		t.Errorf("%v %.80q is not what was sent", op, payload)
	}
	return fmt.Sprintf("message %d to %d of %d", seq, token, size)
}

// sockets makes a connection: our end, as the acceptor would have it, and the
// client's. Our send buffer is as small as the kernel lets it be, with narrow the
// client's too.
func (w *world) sockets(narrow bool) (ours, theirs int) {
	var err error
	if w.listener < 0 {
		var fds [2]int
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		ours, theirs = fds[0], fds[1]
	} else {
		ours, theirs, err = connectTCP(w.listener)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	unix.SetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	if narrow {
		unix.SetsockoptInt(theirs, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	}
	return ours, theirs
}

func listenTCP(t *testing.T) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		narrow(fd)
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// narrow makes the receive window small, and segments so much smaller that the
// sender need not wait for a timer to fill it.
func narrow(fd int) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 500)
}

func connectTCP(listener int) (ours, theirs int, err error) {
	addr, err := unix.Getsockname(listener)
	if err != nil {
		return 0, 0, err
	}
	if theirs, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	narrow(theirs)
	if err = unix.Connect(theirs, addr); err != nil {
		return 0, 0, err
	}
	if ours, _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err != nil {
		return 0, 0, err
	}
	for _, fd := range []int{ours, theirs} {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return ours, theirs, unix.SetNonblock(theirs, true)
}

func inode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}
