package load

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDocumentsAreJSONOfTheirSizeAndNoTwoAreAlike(t *testing.T) {
	for _, size := range []int{300, 301, 777, 1_024, 20_000} {
		seen := map[string]bool{}
		for n := range 200 {
			text := document(n, size)
			if len(text) != size || !json.Valid(text) || seen[string(text)] {
				t.Fatalf("document %d of %d bytes has %d: %s", n, size, len(text), text)
			}
			seen[string(text)] = true
		}
	}
	if _, err := Packed("", 299); err == nil {
		t.Error("a document of 299 bytes has no room for its members")
	}
}

func TestWhatIsSentIsTheDocumentCompressed(t *testing.T) {
	m, err := Packed("broadcast ", 1_024)
	if err != nil {
		t.Fatal(err)
	}
	f := m.frames()
	for _, seq := range []uint32{0, 1, documents + 5} {
		frame := f.ask(7, seq)
		whole, payload := clientPayload(t, frame)
		text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), bytes.NewReader(flushed), bytes.NewReader(final))))
		want := m.library.texts[(7*31+seq)%documents]
		if err != nil || whole != len(frame) || frame[0] != 0xC1 || !bytes.Equal(text, want) || !bytes.HasPrefix(text, []byte("broadcast {")) {
			t.Errorf("message %d is %q: %v", seq, text, err)
		}
		if len(frame) > 700 {
			t.Errorf("message %d has %d bytes on the wire", seq, len(frame))
		}
	}
}

// clientPayload unmasks a frame of 126 to 65,535 bytes.
func clientPayload(t *testing.T, frame []byte) (whole int, payload []byte) {
	t.Helper()
	if frame[1] != 0x80|126 {
		t.Fatalf("the second byte is %#x", frame[1])
	}
	for i, b := range frame[8:] {
		payload = append(payload, b^frame[4+i&3])
	}
	return 8 + int(frame[2])<<8 + int(frame[3]), payload
}

// served is a server's frame.
func served(first byte, payload []byte) []byte {
	return append(AppendHeader(nil, first, uint64(len(payload)), false), payload...)
}

func TestAReplyIsRightIfItDecompressesToItsDocument(t *testing.T) {
	m, err := Packed("", 1_024)
	if err != nil {
		t.Fatal(err)
	}
	p := m.frames().packed
	pack := func(text []byte, level int) []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, level)
		w.Write(text)
		w.Flush()
		return served(0xC1, bytes.TrimSuffix(b.Bytes(), flushed))
	}
	check := func(n int, frame []byte) error {
		whole, head := frameLength(frame)
		if whole != len(frame) {
			t.Fatalf("a frame of %d bytes has %d", len(frame), whole)
		}
		return p.check(n, frame, head)
	}
	fast, best := pack(p.texts[3], 1), pack(p.texts[3], 9)
	for _, frame := range [][]byte{fast, fast, best} {
		if err := check(3, frame); err != nil {
			t.Error(err)
		}
	}
	if got, want := m.ReplySize(), float64(len(fast)+len(best))/2; got != want {
		t.Errorf("replies have %v bytes, not %v", got, want)
	}
	for what, frame := range map[string][]byte{
		"another document": pack(p.texts[4], 1), "more": pack(append(bytes.Clone(p.texts[3]), 'x'), 1), "less": pack(p.texts[3][:500], 1),
		"corrupt": served(0xC1, bytes.Repeat([]byte{0xff}, 200)), "plain": served(0x81, p.texts[3]), "a close": served(0x88, []byte{3, 232}),
	} {
		if err := check(3, frame); err == nil {
			t.Errorf("%s is right", what)
		}
	}
	if err := check(3, served(0x81, p.texts[3])); !errors.Is(err, errPlain) {
		t.Errorf("plain: %v", err)
	}
}

func TestTheLengthOfAFrameIsKnownWhenItIsWhole(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536} {
		frame := served(0xC1, make([]byte, size))
		if whole, head := frameLength(append(frame, "more"...)); whole != len(frame) || head != len(frame)-size {
			t.Errorf("%d bytes: %d with a head of %d", size, whole, head)
		}
		for _, cut := range []int{0, 1, 3, 9, len(frame) - 1} {
			if whole, _ := frameLength(frame[:min(cut, len(frame)-1)]); whole != 0 {
				t.Errorf("%d of %d bytes are whole", cut, len(frame))
			}
		}
	}
	if whole, _ := frameLength([]byte{0x81, 0xff, 0, 0, 0, 0}); whole != 0 {
		t.Error("a masked frame is whole")
	}
}

func TestCompressionThatWasOfferedMustBeAgreedOn(t *testing.T) {
	k := accept(key(3))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + string(k[:]) + "\r\n"
	const agreement = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	for answer, right := range map[string]bool{
		head + agreement + "\r\n": true, head + "\r\n": false, head + agreement + agreement + "\r\n": false,
		head + strings.ReplaceAll(agreement, "server_no_context_takeover; ", "") + "\r\n": false,
	} {
		if n, err := checkResponse([]byte(answer), 3, true); (err == nil) != right || right && n != len(answer) {
			t.Errorf("%q: %d, %v", answer, n, err)
		}
	}
	if _, err := checkResponse([]byte(head+agreement+"\r\n"), 3, false); err == nil {
		t.Error("it was not offered")
	}
}
