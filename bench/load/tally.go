package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

// TallyRequest asks the app that receives the messages for a tally of them: from
// then on it sends, on this connection, the number of the connection of each
// message that it receives, as TallyEntry bytes in little endian. TallyHello,
// which is nobody's number, comes first.
const (
	TallyRequest = "GET /tally HTTP/1.1\r\nHost: sink\r\n\r\n"
	TallyEntry   = 4
	TallyHello   = 1<<32 - 1
)

// tallyIndex is what stands for a worker's tally in the epoll.
const tallyIndex = -1

const tallyTimeout = 5 * time.Second

var errTally = errors.New("load: the tally spoke of messages that nobody sent, or ended")

// Tally has the app at addr say which messages it has received: in place of
// replies on the connections, which must stay silent from then on. It is for a
// Client whose connections are open.
func (c *Client) Tally(addr netip.AddrPort) error {
	for _, w := range c.workers {
		fd, err := openTally(addr)
		if err != nil {
			return fmt.Errorf("load: opening a tally at %v: %w", addr, err)
		}
		w.tally = &Link{fd: int32(fd), state: open}
		if err := w.Poller.Add(fd, tallyIndex, unix.EPOLLIN); err != nil {
			return fmt.Errorf("load: watching a tally: %w", err)
		}
	}
	return nil
}

// openTally returns when the tally runs.
func openTally(addr netip.AddrPort) (fd int, err error) {
	conn, err := net.DialTimeout("tcp", addr.String(), tallyTimeout)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(tallyTimeout)); err != nil {
		return -1, err
	}
	if _, err := io.WriteString(conn, TallyRequest); err != nil {
		return -1, err
	}
	var hello [TallyEntry]byte
	if _, err := io.ReadFull(conn, hello[:]); err != nil {
		return -1, err
	}
	if n := binary.LittleEndian.Uint32(hello[:]); n != TallyHello {
		return -1, fmt.Errorf("it began with %d", n)
	}
	return sock.Dup(conn.(*net.TCPConn))
}

// tallied takes what the tally says as replies to messages.
func (w *worker) tallied() {
	data, err := w.Read(w.tally, tallyIndex)
	if err != nil {
		w.note("the tally: " + err.Error())
		w.hangUp(w.tally, tallyIndex, failed) // what is outstanding will be missed
		return
	}
	for ; len(data) >= TallyEntry; data = data[TallyEntry:] {
		w.counted(binary.LittleEndian.Uint32(data))
	}
	if len(data) > 0 {
		w.keep(tallyIndex, data)
	}
}

// counted takes the number of a connection of which a message was received.
func (w *worker) counted(number uint32) {
	n := int64(number) - int64(w.index)
	if n%int64(w.cfg.Threads) != 0 { // another worker's
		return
	}
	if n /= int64(w.cfg.Threads); n < 0 || n >= int64(len(w.conns)) {
		w.note(fmt.Sprintf("the tally names connection %d, which there is not", number))
		return
	}
	c := &w.conns[n]
	switch {
	case c.state != open:
	case c.received == c.sent:
		w.fail(int32(n), c, errors.New("the tally counts more messages than were sent"))
	default:
		w.replied(int32(n), c)
	}
}
