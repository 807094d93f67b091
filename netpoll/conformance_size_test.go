package netpoll

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ws-gateway/netpoll/internal/wiretest"
)

// readFrame reads a frame of the server; its payload is valid until the next call.
func readFrame(r *bufio.Reader, buf *[]byte) (first byte, payload []byte, err error) {
	head := make([]byte, 8)
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	n := uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head))
	case 127:
		_, err = io.ReadFull(r, head)
		n = binary.BigEndian.Uint64(head)
	}
	if err != nil || n > 32<<20 {
		return 0, nil, fmt.Errorf("frame of %d bytes: %v", n, err)
	}
	if uint64(cap(*buf)) < n {
		*buf = make([]byte, n)
	}
	payload = (*buf)[:n]
	_, err = io.ReadFull(r, payload)
	return first, payload, err
}

// largeClient sends and receives at the same time.
type largeClient struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

func dialLarge(t *testing.T, addr string) *largeClient {
	c := dialRaw(t, addr)
	c.SetDeadline(time.Now().Add(6 * patience))
	return &largeClient{conn: c, r: bufio.NewReaderSize(c, 64<<10)}
}

// send writes b in pieces of n bytes, and reports on done.
func (c *largeClient) send(b []byte, n int) (done chan error) {
	done = make(chan error, 1)
	go func() {
		var err error
		for len(b) > 0 && err == nil {
			piece := b[:min(n, len(b))]
			b = b[len(piece):]
			_, err = c.conn.Write(piece)
		}
		done <- err
	}()
	return done
}

// expect reads a frame.
func (c *largeClient) expect(t *testing.T, first byte, want string) {
	t.Helper()
	got, payload, err := readFrame(c.r, &c.buf)
	if err != nil || got != first || string(payload) != want {
		t.Fatalf("got a frame %02x of %d bytes, %v; want %02x of %d", got, len(payload), err, first, len(want))
	}
}

const wholeStream = 1 << 30

func TestConformance9LargeMessages(t *testing.T) {
	addr := echoServer(t)
	c := dialLarge(t, addr)
	round := func(name string, first byte, payload string, frames []byte, chop int) {
		t.Run(name, func(t *testing.T) {
			sent := c.send(frames, chop)
			c.expect(t, 0x80|first, payload)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		})
	}
	largest, fragmented, chopped := 16<<20, 4<<20, 1<<20
	if wiretest.Race {
		largest, fragmented, chopped = 1<<20, 256<<10, 64<<10
	}
	for group, kind := range []string{"text", "binary"} {
		first, fill := byte(group+1), "large \u00b5@\u00dfness "
		if first == 2 {
			fill = "\xfe\x00\x01\xff"
		}
		payload := strings.Repeat(fill, largest/len(fill)+1)
		for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
			if size <= largest {
				p := wholeRunes(payload[:size])
				round(fmt.Sprintf("9.%d.%d %s of %d", group+1, i+1, kind, size), first, p, clientFrame(0x80|first, p), wholeStream)
			}
		}
		p := wholeRunes(payload[:fragmented])
		for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			round(fmt.Sprintf("9.%d.%d %s of %d in fragments of %d", group+3, i+1, kind, fragmented, size), first, p, join(fragments(first, p, size)...), wholeStream)
		}
		p = wholeRunes(payload[:chopped])
		for i, size := range []int{64, 128, 256, 512, 1024, 2048} {
			round(fmt.Sprintf("9.%d.%d %s of %d in pieces of %d", group+5, i+1, kind, chopped, size), first, p, clientFrame(0x80|first, p), size)
		}
	}
}

// wholeRunes replaces the first half of a rune at the end of s. The text has runes
// of two bytes at most, the binary has none of their bytes.
func wholeRunes(s string) string {
	if last := s[len(s)-1]; last == 0xC2 || last == 0xC3 {
		return s[:len(s)-1] + "x"
	}
	return s
}

func TestConformance9RoundTrips(t *testing.T) {
	addr := echoServer(t)
	c := dialLarge(t, addr)
	for group, first := range []byte{0x81, 0x82} {
		for i, size := range []int{0, 16, 64, 256, 1024, 4096, 16384, 65536} {
			rounds := 1000
			if wiretest.Race || size > 4096 {
				rounds = 50
			}
			t.Run(fmt.Sprintf("9.%d.%d %d messages of %d", group+7, i+1, rounds, size), func(t *testing.T) {
				payload := strings.Repeat("*", size)
				frame := clientFrame(first, payload)
				for range rounds {
					if _, err := c.conn.Write(frame); err != nil {
						t.Fatal(err)
					}
					c.expect(t, first, payload)
				}
			})
		}
	}
}

func TestConformance10AutoFragmentation(t *testing.T) {
	addr := echoServer(t)
	payload := strings.Repeat("*", 65536)
	exchange{name: "10.1.1 65536 bytes in fragments of 1300", send: join(fragments(1, payload, 1300)...), want: serverFrame(0x81, payload)}.run(t, addr)
}

func TestAMessageOfTwentyThousandFragmentsWithPingsBetween(t *testing.T) {
	addr := echoServer(t)
	const n = 20_000
	for _, size := range []int{0, 1, 50} {
		payload := strings.Repeat("f", n*size)
		var frames bytes.Buffer
		pongs := 0
		for i := range n {
			first := byte(0x00)
			switch i {
			case 0:
				first = 0x01
			case n - 1:
				first = 0x80
			}
			frames.Write(clientFrame(first, payload[:size]))
			if i%100 == 50 {
				frames.Write(clientFrame(0x89, fmt.Sprint(i)))
				pongs++
			}
		}
		for _, chop := range []int{wholeStream, 997} {
			c := dialLarge(t, addr)
			sent := c.send(frames.Bytes(), chop)
			for i := range pongs {
				c.expect(t, 0x8a, fmt.Sprint(i*100+50))
			}
			c.expect(t, 0x81, payload)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			c.conn.Close()
		}
	}
}
