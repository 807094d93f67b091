package load

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// maxHead bounds the answer to a handshake, in bytes.
const maxHead = 16 << 10

// Errors of a handshake.
var (
	ErrRefused  = errors.New("load: the handshake was refused")
	ErrResponse = errors.New("load: the answer to the handshake is not RFC 6455's")
)

// Refusal is an answer with another status than 101.
type Refusal struct{ Status string }

func (r Refusal) Error() string { return fmt.Sprintf("%v: %q", ErrRefused, r.Status) }
func (r Refusal) Unwrap() error { return ErrRefused }

// key returns the Sec-WebSocket-Key of a connection: 16 bytes in base64, each
// connection's its own, so that a swapped answer shows.
func key(conn int) [24]byte {
	var nonce [16]byte
	copy(nonce[:], "ws-bench")
	binary.BigEndian.PutUint64(nonce[8:], uint64(conn))
	var text [24]byte
	base64.StdEncoding.Encode(text[:], nonce[:])
	return text
}

// accept returns the Sec-WebSocket-Accept that answers key (RFC 6455, section 4.2.2).
func accept(key [24]byte) [28]byte {
	var text [24 + 36]byte
	copy(text[:], key[:])
	copy(text[24:], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
	sum := sha1.Sum(text[:])
	var answer [28]byte
	base64.StdEncoding.Encode(answer[:], sum[:])
	return answer
}

// AppendRequest appends the opening handshake of a connection. header may add
// lines, each with its CR LF; nil adds none.
func AppendRequest(dst []byte, host, path string, conn int, header func(dst []byte, conn int) []byte) []byte {
	k := key(conn)
	dst = append(dst, "GET "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	dst = append(dst, k[:]...)
	dst = append(dst, "\r\n"...)
	if header != nil {
		dst = header(dst, conn)
	}
	return append(dst, "\r\n"...)
}

// deflateOffer takes the place of a request's empty line.
const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n"

// checkResponse judges what the server has answered so far; deflate says whether
// compression was offered. It returns the length of the whole head, 0 while it is
// incomplete.
func checkResponse(data []byte, conn int, deflate bool) (int, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > maxHead {
			return 0, fmt.Errorf("%w: more than %d bytes of head", ErrResponse, maxHead)
		}
		return 0, nil
	}
	head, length := data[:end], end+4
	status, lines, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101")) {
		return 0, Refusal{strings.ToValidUTF8(string(status), "?")}
	}
	want := accept(key(conn))
	var accepted, upgrade, connection, agreed bool
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Sec-WebSocket-Accept")):
			if accepted || !bytes.Equal(value, want[:]) {
				return 0, fmt.Errorf("%w: Sec-WebSocket-Accept is %s, not %s once", ErrResponse, printable(value), want[:])
			}
			accepted = true
		case bytes.EqualFold(name, []byte("Upgrade")):
			upgrade = bytes.EqualFold(value, []byte("websocket"))
		case bytes.EqualFold(name, []byte("Connection")):
			connection = bytes.EqualFold(value, []byte("Upgrade"))
		case bytes.EqualFold(name, []byte("Sec-WebSocket-Extensions")):
			if !deflate || agreed || !bytes.HasPrefix(value, []byte("permessage-deflate;")) ||
				!bytes.Contains(value, []byte("server_no_context_takeover")) {
				return 0, fmt.Errorf("%w: an extension was not offered: %s", ErrResponse, printable(value))
			}
			agreed = true
		}
	}
	if agreed != deflate {
		return 0, fmt.Errorf("%w: no agreement on permessage-deflate: %s", ErrResponse, printable(head))
	}
	if !accepted || !upgrade || !connection {
		return 0, fmt.Errorf("%w: Upgrade, Connection or Sec-WebSocket-Accept is missing: %s", ErrResponse, printable(head))
	}
	return length, nil
}

// printable quotes the beginning of bytes from the wire for a message.
func printable(b []byte) string {
	const most = 160
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}
