package e2e_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// Frame opcodes and bits of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
	fin            = 0x80
	rsv1           = 0x40
)

// raw is a TCP connection on which a test says things that no library would.
type raw struct {
	t testing.TB
	*net.TCPConn
	in *bufio.Reader
}

func (g *gateway) raw(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r := &raw{t: t, TCPConn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
	if err := r.SetDeadline(harness.Soon()); err != nil {
		t.Fatal(err)
	}
	return r
}

// handshake is a valid opening handshake without the empty line at its end;
// lines are put behind the others.
func (g *gateway) handshake(lines ...string) string {
	head := "GET /ws HTTP/1.1\r\nHost: " + g.Addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head
}

// rawClient performs the opening handshake by hand.
func (g *gateway) rawClient(t testing.TB, user string, lines ...string) *raw {
	t.Helper()
	r := g.raw(t)
	r.say(g.handshake(append(lines, "X-Bfl-User: "+user)...) + "\r\n")
	if response, body := r.response(); response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake answered %d %q", response.StatusCode, body)
	}
	return r
}

func (r *raw) say(bytes string) {
	r.t.Helper()
	if _, err := io.WriteString(r, bytes); err != nil {
		r.t.Fatalf("writing: %v", err)
	}
}

// response reads an HTTP response and its body.
func (r *raw) response() (*http.Response, string) {
	r.t.Helper()
	response, body, err := r.tryResponse()
	if err != nil {
		r.t.Fatalf("reading the response: %v", err)
	}
	return response, body
}

func (r *raw) tryResponse() (*http.Response, string, error) {
	response, err := http.ReadResponse(r.in, nil)
	if err != nil || response.StatusCode == http.StatusSwitchingProtocols {
		return response, "", err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	return response, string(body), err
}

// frame returns a masked frame.
func frame(first byte, payload string) string {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	head := frameHead(first, 0x80, len(payload))
	head = append(head, mask[:]...)
	for i := range len(payload) {
		head = append(head, payload[i]^mask[i%4])
	}
	return string(head)
}

func frameHead(first, maskBit byte, length int) []byte {
	switch {
	case length < 126:
		return []byte{first, maskBit | byte(length)}
	case length < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, maskBit | 126}, uint16(length))
	default:
		return binary.BigEndian.AppendUint64([]byte{first, maskBit | 127}, uint64(length))
	}
}

// closePayload is the body of a close frame.
func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// next reads a frame of the gateway.
func (r *raw) next() (first byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, "", err
	}
	length := uint64(head[1] & 0x7f)
	extended := 0
	switch length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if extended > 0 {
		var more [8]byte
		if _, err := io.ReadFull(r.in, more[8-extended:]); err != nil {
			return 0, "", err
		}
		length = binary.BigEndian.Uint64(more[:])
	}
	if head[1]&0x80 != 0 {
		return 0, "", errors.New("the gateway masked a frame")
	}
	body := make([]byte, length)
	_, err = io.ReadFull(r.in, body)
	return head[0], string(body), err
}

// expect requires the next frame to be this one.
func (r *raw) expect(first byte, payload string) {
	r.t.Helper()
	gotFirst, got, err := r.next()
	if err != nil {
		r.t.Fatalf("waiting for frame %#x: %v", first, err)
	}
	if gotFirst != first || got != payload {
		r.t.Fatalf("got frame %#x %.100q, want %#x %.100q", gotFirst, got, first, payload)
	}
}

// expectClose requires the gateway to close with code, for a reason that it
// gives, and then to end TCP.
func (r *raw) expectClose(code uint16) (reason string) {
	r.t.Helper()
	first, payload, err := r.next()
	if err != nil {
		r.t.Fatalf("waiting for close %d: %v", code, err)
	}
	if first != fin|opClose || !strings.HasPrefix(payload, closePayload(code, "")) {
		r.t.Fatalf("got frame %#x %.100q, want close %d", first, payload, code)
	}
	// A client owes the gateway an answer; it has to cope without one as well.
	_, _ = io.WriteString(r, frame(fin|opClose, payload[:2]))
	r.expectEnd()
	return payload[2:]
}

// expectEnd requires the gateway to end TCP, without saying any more.
func (r *raw) expectEnd() {
	r.t.Helper()
	if rest, err := io.ReadAll(r.in); len(rest) > 0 {
		r.t.Fatalf("more bytes before the end: %.100q", rest)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		r.t.Fatal("the gateway did not end the connection")
	}
}
