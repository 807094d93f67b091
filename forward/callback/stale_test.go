package callback

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"ws-gateway/forward/internal/rawapp"
)

// An answer whose body is not read has none, whatever the one before it had: that was for
// another client.
func TestTheBodyOfAnEarlierAnswerIsNeverThatOfALaterOne(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		wrote        error // of the second request
	}{
		{"the request could not be written whole", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond", syscall.EPIPE},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", nil},
		{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", nil},
		{"101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", nil},
		{"only a status line", "HTTP/1.1 403 Forbidden\r\nX-Cut", nil},
		{"no answer", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := rawapp.Serve(t, func(_ int, conn net.Conn) {
				r := bufio.NewReader(conn)
				for _, answer := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", c.answer} {
					_, length := rawapp.ReadHead(r)
					_, _ = io.CopyN(io.Discard, r, int64(length))
					_, _ = io.WriteString(conn, answer)
				}
			})
			client := testClient(t, url)
			wanting := open()
			wanting.Wanted = MaxBody
			if _, err := client.exchange(t, wanting); err != nil || string(client.Body()) != "first" || client.Completeness != Whole {
				t.Fatalf("%v, body %q, %v", err, client.Body(), client.Completeness)
			}
			if err := client.SetDeadline(time.Now().Add(longWait)); err != nil {
				t.Fatal(err)
			}
			client.Queue(wanting)
			if err := client.Flush(); err != nil {
				t.Fatal(err)
			}
			client.wrote = c.wrote
			status, _, _ := client.read(wanting)
			if len(client.Body())+len(client.Excerpt()) > 0 {
				t.Errorf("body %q, excerpt %q, %v", client.Body(), client.Excerpt(), client.Completeness)
			}
			if c.wrote != nil && (status != 200 || client.Completeness != Unread) {
				t.Errorf("status %d, %v", status, client.Completeness)
			}
		})
	}
}
