package load

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestAcceptIsTheOneOfRFC6455(t *testing.T) {
	var example [24]byte
	copy(example[:], "dGhlIHNhbXBsZSBub25jZQ==") // section 1.3
	if got := accept(example); string(got[:]) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("got %s", got)
	}
}

func TestTheRequestIsAnHTTPUpgradeWithTheHeadersAskedFor(t *testing.T) {
	text := AppendRequest(nil, "127.0.0.1:40010", "/ws?room=1", 7, func(dst []byte, conn int) []byte {
		return append(dst, "X-Bfl-User: alice\r\n"...)
	})
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	k := key(7)
	for name, want := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": string(k[:]), "X-Bfl-User": "alice",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	if r.Host != "127.0.0.1:40010" || r.RequestURI != "/ws?room=1" || r.Method != "GET" {
		t.Errorf("got %s %s for %s", r.Method, r.RequestURI, r.Host)
	}
}

func TestTheAnswerToAHandshakeIsChecked(t *testing.T) {
	a := accept(key(3))
	good := "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + string(a[:]) + "\r\n\r\n"
	if n, err := checkResponse([]byte(good+"\x81\x00"), 3, false); err != nil || n != len(good) {
		t.Errorf("a good answer: %d, %v", n, err)
	}
	for cut := range len(good) - 1 {
		if n, err := checkResponse([]byte(good[:cut]), 3, false); n != 0 || err != nil {
			t.Errorf("the first %d bytes of it: %d, %v", cut, n, err)
		}
	}
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"another connection's": {good, ErrResponse},
		"refusal":              {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", ErrRefused},
		"no accept":            {strings.Replace(good, "Sec-WebSocket-Accept", "X", 1), ErrResponse},
		"no upgrade":           {strings.Replace(good, "upgrade:", "x:", 1), ErrResponse},
		"accept twice":         {strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Accept: "+string(a[:])+"\r\n\r\n", 1), ErrResponse},
		"extension":            {strings.Replace(good, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", 1), ErrResponse},
		"endless":              {"HTTP/1.1 101 " + strings.Repeat("x", maxHead), ErrResponse},
	} {
		conn := 3
		if name == "another connection's" {
			conn = 4
		}
		if _, err := checkResponse([]byte(c.answer), conn, false); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzTheAnswerToAHandshakeNeverPanics(f *testing.F) {
	a := accept(key(0))
	f.Add([]byte("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + string(a[:]) + "\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 101\r\n:\r\n\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := checkResponse(data, 0, false)
		if n < 0 || n > len(data) || n > 0 && err != nil {
			t.Errorf("%d, %v for %d bytes", n, err, len(data))
		}
	})
}
