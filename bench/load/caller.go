package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

// caller is a connection to the management API, kept alive, with at most one
// call under way.
type caller struct {
	Link
	group   int32  // that is called
	rest    []byte // of the request: what the kernel has not taken yet; its group's own bytes
	calling bool
}

const mostAnswer = 64 << 10 // bytes of an answer's body

// appendCall appends a send call's request, and says where the mark of its
// payload begins.
func appendCall(dst []byte, host string, m *Message, to string) (request []byte, mark int) {
	const before, between, after = `{"payload":`, `,`, `}`
	dst = append(dst, "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(before)+m.Size()+len(between)+len(to)+len(after)), 10)
	dst = append(dst, "\r\n\r\n"+before...)
	mark = len(dst) + m.mark
	dst = append(m.Append(dst, 0, 0), between...)
	return append(append(dst, to...), after...), mark
}

func dialCaller(api netip.AddrPort) (caller, error) {
	fd, err := sock.Dial(api, netip.Addr{}, 0)
	return caller{Link: Link{fd: int32(fd), state: open}}, err
}

func (c *caller) begin(group int32, request []byte) {
	c.group, c.rest, c.calling = group, request, true
}

func (p *push) serveCaller(i int32, events uint32) {
	c := &p.callers[i]
	if c.state == open && events&^unix.EPOLLOUT != 0 {
		p.read(i)
	}
	if c.state == open && events&unix.EPOLLOUT != 0 {
		p.write(i)
	}
}

// write sends what the kernel takes of a caller's request.
func (p *push) write(i int32) {
	c := &p.callers[i]
	for len(c.rest) > 0 {
		n, err := sock.Write(int(c.fd), c.rest)
		if sock.WouldBlock(err) {
			break
		}
		if err != nil {
			p.fail(i, fmt.Errorf("sending: %w", err))
			return
		}
		c.rest = c.rest[n:]
	}
	if err := p.w.arm(&c.Link, callerIndex(i), len(c.rest) > 0); err != nil {
		p.fail(i, err)
	}
}

// read takes what has arrived of a caller's answer.
func (p *push) read(i int32) {
	c := &p.callers[i]
	data, err := p.w.Read(&c.Link, callerIndex(i))
	switch {
	case err != nil:
		p.fail(i, err)
		return
	case len(data) == 0:
		return
	case !c.calling:
		p.fail(i, fmt.Errorf("unasked for came %s", printable(data)))
		return
	}
	length, err := checkAnswer(data)
	switch {
	case err != nil:
		p.fail(i, err)
	case length == 0:
		p.w.keep(callerIndex(i), data)
	case length < len(data) || len(c.rest) > 0:
		p.fail(i, fmt.Errorf("the answer is not to the call: %s", printable(data)))
	default:
		p.answered(i)
	}
}

// answered ends a caller's call.
func (p *push) answered(i int32) {
	c := &p.callers[i]
	g := &p.groups[c.group]
	c.calling, g.calling = false, false
	p.free = append(p.free, i)
	p.w.ex.outstanding--
	p.w.ex.called.Add(1)
	p.w.record(p.answer, p.w.now()-g.due)
}

// fail gives a caller up. Its call stays unanswered, so its group is not called
// again.
func (p *push) fail(i int32, err error) {
	p.w.note(fmt.Sprintf("caller %d: %v", i, err))
	p.w.hangUp(&p.callers[i].Link, callerIndex(i), failed)
}

func (p *push) hangUp() {
	for i := range p.callers {
		if c := &p.callers[i]; c.state == open {
			p.w.hangUp(&c.Link, callerIndex(int32(i)), failed)
		}
	}
}

var (
	statusOK = []byte("HTTP/1.1 200 ")
	success  = []byte(`{"code":0,`)
)

// checkAnswer judges what has arrived of the API's answer to a call. It returns
// the length of the whole, 0 while it is incomplete, and an error unless it says
// success.
func checkAnswer(data []byte) (length int, err error) {
	m, err := sock.ReadHTTP(data, mostAnswer)
	if err != nil {
		return 0, fmt.Errorf("the answer has %w: %s", err, printable(data))
	}
	if m.Size > 0 && (!bytes.HasPrefix(m.Line, statusOK) || !bytes.HasPrefix(m.Body, success)) {
		return 0, fmt.Errorf("the API answered %s", printable(data))
	}
	return m.Size, nil
}
