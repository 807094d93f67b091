package netpoll

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ws-gateway/netpoll/internal/wiretest"
)

// The cases of Autobahn's groups 12 and 13: messages of its sizes, whole and in
// frames of its sizes, compressed by the standard library, under each of its kinds
// of offer; the echoes are read with the standard library too.

// readEcho reads one unfragmented frame and undoes its compression.
func readEcho(t *testing.T, c net.Conn) (op byte, text []byte, compressed bool) {
	t.Helper()
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	n := uint64(head[1])
	if more := map[uint64]int{126: 2, 127: 8}[n]; more > 0 {
		ext := make([]byte, 8)
		if _, err := io.ReadFull(c, ext[8-more:]); err != nil {
			t.Fatal(err)
		}
		n = binary.BigEndian.Uint64(ext)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c, payload); err != nil {
		t.Fatal(err)
	}
	if head[0]&0x80 == 0 || head[0]&0x30 != 0 {
		t.Fatalf("the echo begins with %#x", head[0])
	}
	if head[0]&0x40 == 0 {
		return head[0] & 0x0F, payload, false
	}
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatalf("the echo is not DEFLATE data: %v", err)
	}
	return head[0] & 0x0F, text, true
}

func TestConformance12And13Compression(t *testing.T) {
	_, addr := startServer(t, Config{Handler: newRecorder(), Compression: true, CompressionThreshold: 1, MaxMessageSize: 1 << 20})
	const rounds = 2
	for group, offer := range []string{
		"permessage-deflate",
		"permessage-deflate; client_no_context_takeover; client_max_window_bits",
		"permessage-deflate; server_no_context_takeover",
		"permessage-deflate; server_max_window_bits=9",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=9; server_no_context_takeover; client_max_window_bits",
		"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover, permessage-deflate",
	} {
		for number, size := range []int{16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072} {
			for i, frame := range []int{0, 256, 1024, 4096, 32768} {
				if wiretest.Race && (group+number+i)%4 != 0 { // a part of them, each offer, size and frame among it
					continue
				}
				t.Run(fmt.Sprintf("13.%d.%d in frames of %d", group+1, number+1, frame), func(t *testing.T) {
					c, answer := dialCompressed(t, addr, offer)
					if !strings.HasPrefix(answer, "permessage-deflate") {
						t.Fatalf("answered %q", answer)
					}
					c.SetDeadline(time.Now().Add(2 * patience))
					for round := range rounds {
						opcode := byte(0x01 + round&1)
						text := []byte(strings.Repeat(fmt.Sprintf(`{"round":%d,"name":"Jäger"},`, round), size/26+1))[:size]
						if opcode == 0x01 {
							text = bytes.ToValidUTF8(text, []byte("?"))
						}
						writeInFrames(c, opcode, wiretest.Deflate(t, text, false), frame)
						op, got, _ := readEcho(t, c)
						if op != opcode || !bytes.Equal(got, text) {
							t.Fatalf("round %d: opcode %d, %d bytes; want %d, %d", round, op, len(got), opcode, len(text))
						}
					}
				})
			}
		}
	}
}

// writeInFrames writes a compressed message in frames of size bytes; 0: in one.
func writeInFrames(c net.Conn, opcode byte, payload []byte, size int) {
	first := opcode | 0x40
	for size > 0 && len(payload) > size {
		c.Write(clientFrame(first, string(payload[:size])))
		payload, first = payload[size:], 0
	}
	c.Write(clientFrame(first|0x80, string(payload)))
}
