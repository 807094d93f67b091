package fan

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
)

// The example of RFC 6455, section 1.3: a key and what must be the answer to it.
// Package load checks a key of each connection's own; here one is enough.
const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// maxHead bounds the answer to a handshake, in bytes.
const maxHead = 16 << 10

// ErrRefused is the server's answer if it is not that of RFC 6455.
var ErrRefused = errors.New("the handshake was refused")

func request(target netip.AddrPort) []byte {
	return fmt.Appendf(nil, "GET /ws HTTP/1.1\r\nHost: %v\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", target, key)
}

// checkAnswer judges what has come so far; complete tells whether that is all.
func checkAnswer(head []byte) (complete bool, err error) {
	end := bytes.Index(head, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(head) < maxHead:
		return false, nil
	case end != len(head)-4, !bytes.HasPrefix(head, []byte("HTTP/1.1 101")), !bytes.Contains(head, []byte(accept)):
		return false, fmt.Errorf("%w: %.160q", ErrRefused, head)
	default:
		return true, nil
	}
}
