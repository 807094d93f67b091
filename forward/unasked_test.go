package forward

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"ws-gateway/forward/internal/rawapp"
)

func TestWhatComesUnaskedIsNoAnswerToTheNextEvent(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	delivered, strayed := make(chan struct{}, 2), make(chan struct{})
	seen := make(chan string, 9) // by the app, which serves one connection after the other
	n := 0
	url := rawapp.Serve(t, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			seen <- request.Header.Get("X-Request-Id") + " attempt " + request.Header.Get("X-Attempt")
			n++
			switch n {
			case 1: // answers, and when that has been read once more
				_, _ = io.WriteString(c, answer)
				select {
				case <-delivered:
				case <-t.Context().Done():
				}
				_, _ = io.WriteString(c, answer)
				close(strayed)
			case 2: // has not taken this one
				_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			default:
				_, _ = io.WriteString(c, answer)
			}
		}
	})
	f, err := New(Config{URL: url, Concurrency: 1, Reply: func(uint64, Reply) { delivered <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	f.Message(source(1, 0), []byte("0"), false)
	<-strayed
	f.Message(source(1, 1), []byte("1"), false)
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
	equal(t, "delivered", f.Stats().Delivered[actionMessage], 2)
	for _, want := range [...]string{"c1-0 attempt 1", "c1-1 attempt 1", "c1-1 attempt 2"} {
		select {
		case saw := <-seen:
			equal(t, "the app saw", saw, want)
		default:
			t.Errorf("the app never saw %s", want)
		}
	}
}
