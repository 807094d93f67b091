package wire

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ws-gateway/netpoll/internal/wiretest"
)

// handshakeLines is a valid handshake; edit replaces the lines that begin with
// the names of its own (a line of only a name and a colon drops the field), and
// appends those that are new.
func handshakeLines(edit ...string) []string {
	lines := []string{
		"GET /ws HTTP/1.1",
		"Host: x",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, e := range edit {
		name, value, _ := strings.Cut(e, ":")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		switch {
		case !strings.Contains(e, ":"):
			lines[0] = e
		case strings.HasPrefix(e, "+"):
			lines = append(lines, e[1:])
		case value == "":
			lines = slices.Delete(lines, at, at+1)
		case at >= 0:
			lines[at] = e
		default:
			lines = append(lines, e)
		}
	}
	return lines
}

func TestAValidHandshakePasses(t *testing.T) {
	for _, c := range []struct {
		name string
		edit []string
	}{
		{"plain", nil},
		{"names and values in other case", []string{"Upgrade: WebSocket", "Connection: uPGRADE"}},
		{"lists", []string{"Upgrade: websocket, h2c", "Connection: keep-alive, Upgrade"}},
		{"websocket last in the list", []string{"Upgrade: h2c,websocket"}},
		{"lists over several fields", []string{"Upgrade: h2c", "+upgrade: websocket", "Connection: keep-alive", "+connection: x, upgrade"}},
		{"empty list elements", []string{"Connection: , upgrade,,"}},
		{"an empty body", []string{"Content-Length: 0"}},
		{"one origin", []string{"Origin: https://a.example"}},
		{"subprotocols", []string{"Sec-WebSocket-Protocol: chat, v2.chat!", "+Sec-WebSocket-Protocol: x"}},
		{"no subprotocol in the list", []string{"Sec-WebSocket-Protocol: ,"}},
		{"an empty list of subprotocols", []string{"Sec-WebSocket-Protocol: "}},
		{"empty elements among subprotocols", []string{"Sec-WebSocket-Protocol: ,chat", "+Sec-WebSocket-Protocol:"}},
		{"empty elements in Upgrade", []string{"Upgrade: ,websocket", "+Upgrade:"}},
		{"an extension that is not spoken here", []string{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}},
		{"a key whose last bits are not 0", []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB=="}},
	} {
		r := requestOf(t, handshakeLines(c.edit...)...)
		if err := CheckUpgrade(r); err != nil {
			t.Errorf("%s: %d %s", c.name, err.Status, err)
			continue
		}
		accept101(t, NewUpgrader(), r, "", "")
	}
}

func TestABadHandshakeIsRefusedWithWhatIsWrong(t *testing.T) {
	allow := []string{"Allow", "GET"}
	version := []string{"Sec-WebSocket-Version", "13"}
	upgrade := []string{"Upgrade", "websocket", "Sec-WebSocket-Version", "13"}
	for _, c := range []struct {
		name   string
		edit   []string
		status int
		text   string
		header []string
	}{
		{"POST", []string{"POST /ws HTTP/1.1"}, 405, "GET requests", allow},
		{"HEAD", []string{"HEAD /ws HTTP/1.1"}, 405, "GET requests", allow},
		{"get", []string{"get /ws HTTP/1.1"}, 405, "GET requests", allow},
		{"POST without an upgrade", []string{"POST /ws HTTP/1.1", "Upgrade:"}, 405, "GET requests", allow},

		{"no upgrade at all", []string{"Upgrade:", "Connection:", "Sec-WebSocket-Version:", "Sec-WebSocket-Key:"}, 426, "Upgrade: websocket is missing", upgrade},
		{"no Upgrade header", []string{"Upgrade:"}, 426, "Upgrade: websocket is missing", upgrade},
		{"upgrade to something else", []string{"Upgrade: h2c"}, 426, "Upgrade: websocket is missing", upgrade},
		{"upgrade to something like it", []string{"Upgrade: websocket/13, xwebsocket"}, 426, "Upgrade: websocket is missing", upgrade},

		{"HTTP/1.0", []string{"GET /ws HTTP/1.0"}, 400, "HTTP/1.0", nil},
		{"no Connection header", []string{"Connection:"}, 400, "Connection: Upgrade is missing", nil},
		{"Connection without it", []string{"Connection: keep-alive, upgraded"}, 400, "Connection: Upgrade is missing", nil},

		{"no version", []string{"Sec-WebSocket-Version:"}, 400, "no Sec-WebSocket-Version", version},
		{"version 8", []string{"Sec-WebSocket-Version: 8"}, 400, `"8" is not spoken here`, version},
		{"version 013", []string{"Sec-WebSocket-Version: 013"}, 400, `"013" is not spoken here`, version},
		{"a list of versions", []string{"Sec-WebSocket-Version: 13, 8"}, 400, `"13, 8" is not spoken here`, version},
		{"two versions", []string{"+Sec-WebSocket-Version: 13"}, 400, "more than one Sec-WebSocket-Version", version},

		{"no key", []string{"Sec-WebSocket-Key:"}, 400, "no Sec-WebSocket-Key", nil},
		{"two keys", []string{"+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 400, "more than one Sec-WebSocket-Key", nil},
		{"a key of 15 bytes", []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"}, 400, "not the base64 of 16 bytes", nil},
		{"a key of 17 bytes", []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="}, 400, "not the base64 of 16 bytes", nil},
		{"a key of 18 bytes", []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA"}, 400, "not the base64 of 16 bytes", nil},
		{"a key that is not base64", []string{"Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="}, 400, "not the base64 of 16 bytes", nil},
		{"a key in the alphabet for URLs", []string{"Sec-WebSocket-Key: ______________________=="}, 400, "not the base64 of 16 bytes", nil},
		{"a key without padding", []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA"}, 400, "not the base64 of 16 bytes", nil},

		{"a body of a length", []string{"Content-Length: 10"}, 400, "Content-Length announces", nil},
		{"a body in chunks", []string{"Transfer-Encoding: chunked"}, 400, "Transfer-Encoding announces", nil},
		{"two origins", []string{"Origin: a", "+Origin: a"}, 400, "more than one Origin", nil},
		{"a subprotocol that is no token", []string{"Sec-WebSocket-Protocol: chat, a b"}, 400, "Sec-WebSocket-Protocol", nil},
		{"the same before a good one", []string{"Sec-WebSocket-Protocol: a b, chat"}, 400, "Sec-WebSocket-Protocol", nil},
		{"a quoted subprotocol", []string{`Sec-WebSocket-Protocol: "chat"`}, 400, "Sec-WebSocket-Protocol", nil},
	} {
		r := requestOf(t, handshakeLines(c.edit...)...)
		err := CheckUpgrade(r)
		if err == nil {
			t.Errorf("%s: passed", c.name)
			continue
		}
		if err.Status != c.status || !strings.Contains(err.Text, c.text) || !slices.Equal(err.Header, c.header) {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.name, err.Status, err.Text, err.Header, c.status, c.text, c.header)
		}
		checkRefusal(t, err, r)
	}
}

// accept101 runs the Upgrader and reads the response as a client would.
func accept101(t testing.TB, u *Upgrader, r *Request, subprotocol, extensions string) http.Header {
	t.Helper()
	raw := u.Accept(r, subprotocol, extensions)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", resp.StatusCode)
	}
	if !bytes.HasSuffix(raw, headEnding) {
		t.Errorf("%q: bytes behind the head would be taken for frames", raw)
	}
	return resp.Header
}

func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestAnAcceptedHandshakeIsAnsweredWith101(t *testing.T) {
	u := NewUpgrader()
	for _, key := range []string{"dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA=="} { // the first is RFC 6455's own, 1.3
		header := accept101(t, u, requestOf(t, handshakeLines("Sec-WebSocket-Key: "+key)...), "", "")
		want := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {acceptFor(key)}}
		if len(header) != len(want) {
			t.Errorf("header %v, want %v", header, want)
		}
		for name := range want {
			if got := header.Get(name); got != want.Get(name) {
				t.Errorf("%s: got %q, want %q", name, got, want.Get(name))
			}
		}
	}
}

func TestOnlyAnOfferedSubprotocolIsSelected(t *testing.T) {
	u := NewUpgrader()
	offer := []string{"Sec-WebSocket-Protocol: a, chat", "+Sec-WebSocket-Protocol: v2"}
	for _, c := range []struct {
		name     string
		offer    []string
		selected string
		want     []string
	}{
		{"first", offer, "a", []string{"a"}},
		{"another", offer, "chat", []string{"chat"}},
		{"from the second field", offer, "v2", []string{"v2"}},
		{"none", offer, "", nil},
		{"not offered", offer, "other", nil},
		{"not offered in this case", offer, "CHAT", nil},
		{"nothing offered", nil, "chat", nil},
		{"an injected header", offer, "a\r\nX: y", nil},
	} {
		header := accept101(t, u, requestOf(t, handshakeLines(c.offer...)...), c.selected, "")
		if got := header.Values("Sec-WebSocket-Protocol"); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestALongSubprotocolDoesNotBreakTheResponse(t *testing.T) {
	name := strings.Repeat("p", 20_000)
	header := accept101(t, NewUpgrader(), requestOf(t, handshakeLines("Sec-WebSocket-Protocol: "+name)...), name, "")
	if got := header.Get("Sec-WebSocket-Protocol"); got != name {
		t.Errorf("selected %d bytes of %d", len(got), len(name))
	}
}

func TestAHandshakeLeavesNoTraceInTheNext(t *testing.T) {
	u := NewUpgrader()
	offered := requestOf(t, handshakeLines("Sec-WebSocket-Protocol: chat")...)
	for range 2 {
		header := accept101(t, u, offered, "chat", "permessage-deflate")
		if header.Get("Sec-WebSocket-Protocol") != "chat" || header.Get("Sec-WebSocket-Extensions") != "permessage-deflate" {
			t.Errorf("accepted with %v", header)
		}
		header = accept101(t, u, offered, "", "")
		if len(header.Values("Sec-WebSocket-Protocol")) > 0 || len(header.Values("Sec-WebSocket-Extensions")) > 0 {
			t.Errorf("accepted with %v", header)
		}
	}
}

func TestToAcceptAnUncheckedRequestIsABug(t *testing.T) {
	defer func() {
		if bug, ok := recover().(string); !ok || !strings.HasPrefix(bug, "BUG: ") {
			t.Errorf("got %q", bug)
		}
	}()
	NewUpgrader().Accept(requestOf(t, handshakeLines("Sec-WebSocket-Key: short")...), "", "")
	t.Error("accepted")
}

func TestAnUpgradeAllocatesOnlyGobwasNonce(t *testing.T) {
	u := NewUpgrader()
	r := requestOf(t, handshakeLines("Sec-WebSocket-Protocol: chat")...)
	want := 1.0
	if wiretest.Race { // sync.Pool then drops some of what it is given, and gobwas makes its two buffers anew
		want += 4
	}
	if n := testing.AllocsPerRun(1000, func() { u.Accept(r, "chat", "") }); n > want {
		t.Errorf("%v allocations", n)
	}
}

// FuzzUpgrade: whatever passes the checks can be accepted.
func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(browserHead), "")
	f.Add([]byte(strings.Join(handshakeLines("Sec-WebSocket-Protocol: a, b", "Upgrade: h2c, websocket"), "\r\n")+"\r\n\r\n"), "b")
	f.Add([]byte(strings.Join(handshakeLines("Content-Length: 00"), "\r\n")+"\r\n\r\n"), "x\r\n\r\n")
	f.Fuzz(func(t *testing.T, head []byte, subprotocol string) {
		var r Request
		if ParseHead(head, &r) != nil {
			return
		}
		if err := CheckUpgrade(&r); err != nil {
			checkRefusal(t, err, &r)
			return
		}
		key, _ := r.Get("Sec-WebSocket-Key")
		header := accept101(t, NewUpgrader(), &r, subprotocol, "")
		if got, want := header.Get("Sec-WebSocket-Accept"), acceptFor(string(key)); got != want {
			t.Fatalf("%q: accept %q, want %q", head, got, want)
		}
		if len(header) > 4 {
			t.Fatalf("%q: header %v", head, header)
		}
	})
}

func BenchmarkUpgrade(b *testing.B) {
	head := []byte(browserHead)
	r := Request{Fields: make([]Field, 0, 32)}
	u := NewUpgrader()
	b.ReportAllocs()
	for b.Loop() {
		if HeadEnd(head, 0) != len(head) || ParseHead(head, &r) != nil || CheckUpgrade(&r) != nil {
			b.Fatal("head refused")
		}
		u.Accept(&r, "", "")
	}
}
