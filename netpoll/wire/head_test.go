package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// browserHead is a handshake as a browser sends it.
const browserHead = "GET /ws?room=1 HTTP/1.1\r\n" +
	"Host: app.alice.example.org\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://app.alice.example.org\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"X-Bfl-User: alice\r\n\r\n"

func TestTheEndOfAHeadIsFoundHoweverItArrives(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, behind := range []string{"", "x", "\r\n\r\n"} {
		in := []byte(head + behind)
		for first := range len(head) {
			if got := HeadEnd(in[:first], 0); got != -1 {
				t.Errorf("%d bytes: end at %d", first, got)
			}
			if got := HeadEnd(in, first); got != len(head) {
				t.Errorf("%d bytes searched before: end at %d, want %d", first, got, len(head))
			}
		}
	}
	if got := HeadEnd([]byte("a\r\n\n\r\r\n\n"), 0); got != -1 {
		t.Errorf("end at %d without an empty line", got)
	}
	if got := HeadEnd(nil, 0); got != -1 {
		t.Errorf("end of nothing at %d", got)
	}
}

func TestAValidHeadIsParsed(t *testing.T) {
	remote := netip.MustParseAddrPort("127.0.0.1:1234")
	for _, c := range []struct {
		name, head                   string
		method, target, path, fields string
		minor                        int
	}{
		{"browser", browserHead, "GET", "/ws?room=1", "/ws", "", 1},
		{"plainest", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", "/", "Host=x", 1},
		{"HTTP/1.0 without Host", "HEAD /a HTTP/1.0\r\n\r\n", "HEAD", "/a", "/a", "", 0},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "/", "Host=", 1},
		{"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:40010\r\n\r\n", "GET", "/", "/", "Host=[::1]:40010", 1},
		{"one empty line in front", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", "/", "Host=x", 1},
		{"blanks around values", "GET / HTTP/1.1\r\nHost:x\r\nA: \t b \tc \t\r\n\r\n", "GET", "/", "/", "Host=x|A=b \tc", 1},
		{"empty value", "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \r\n\r\n", "GET", "/", "/", "Host=x|A=|B=", 1},
		{"colons in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b: c\r\n\r\n", "GET", "/", "/", "Host=x|A=b: c", 1},
		{"bytes over 0x7F in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: \xff\xc3\xa9\r\n\r\n", "GET", "/", "/", "Host=x|A=\xff\xc3\xa9", 1},
		{"every token byte in a name", "GET / HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", "GET", "/", "/", "Host=x|!#$%&'*+-.^_`|~09azAZ=1", 1},
		{"two question marks", "GET /a?b?c HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a?b?c", "/a", "Host=x", 1},
		{"empty query", "GET /a? HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a?", "/a", "Host=x", 1},
		{"nothing is normalised", "GET /a/../ws//%77s HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a/../ws//%77s", "/a/../ws//%77s", "Host=x", 1},
		{"absolute form", "GET http://x/ws?a HTTP/1.1\r\nHost: y\r\n\r\n", "GET", "/ws?a", "/ws", "Host=y", 1},
		{"absolute form without a path", "GET http://x?a HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/?a", "/", "Host=x", 1},
		{"methods of one's own", "pr-1 / HTTP/1.1\r\nHost: x\r\n\r\n", "pr-1", "/", "/", "Host=x", 1},
		{"a body announced", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "POST", "/", "/", "Host=x|Content-Length=5", 1},
		{"a length said twice", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n", "POST", "/", "/", "Host=x|Content-Length=5|content-length=5", 1},
		{"a chunked body", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", "/", "/", "Host=x|Transfer-Encoding=chunked", 1},
	} {
		r := Request{Remote: remote, Method: []byte("stale"), Fields: make([]Field, 3)}
		if err := ParseHead([]byte(c.head), &r); err != nil {
			t.Errorf("%s: %d %s", c.name, err.Status, err)
			continue
		}
		if string(r.Method) != c.method || string(r.Target) != c.target || string(r.Path) != c.path || r.Minor != c.minor {
			t.Errorf("%s: got %q %q %q 1.%d", c.name, r.Method, r.Target, r.Path, r.Minor)
		}
		if r.Remote != remote {
			t.Errorf("%s: Remote is lost", c.name)
		}
		var fields []string
		for _, f := range r.Fields {
			fields = append(fields, fmt.Sprintf("%s=%s", f.Name, f.Value))
		}
		if got := strings.Join(fields, "|"); c.fields != "" && got != c.fields {
			t.Errorf("%s: fields %q, want %q", c.name, got, c.fields)
		}
	}
}

func TestABrowsersFieldsAreFound(t *testing.T) {
	var r Request
	if err := ParseHead([]byte(browserHead), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Fields) != 14 {
		t.Errorf("%d fields", len(r.Fields))
	}
	if v, n := r.Get("x-bfl-user"); string(v) != "alice" || n != 1 {
		t.Errorf("user %q, %d times", v, n)
	}
}

func TestABadHeadIsRefusedWithWhatIsWrong(t *testing.T) {
	const start = "GET / HTTP/1.1\r\n"
	for _, c := range []struct {
		name, head string
		status     int
		text       string
	}{
		{"nothing", "\r\n\r\n", 400, "empty request line"},
		{"two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "empty request line"},
		{"TLS", "\x16\x03\x01\r\n\r\n", 400, "TLS must end in front"},
		{"binary", "\x00\x01\r\n\r\n", 400, "begins with NUL"},
		{"blank in front", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "begins with space"},

		{"method alone", "GET\r\nHost: x\r\n\r\n", 400, "without method, target and version"},
		{"HTTP/0.9", "GET /\r\nHost: x\r\n\r\n", 400, "without method, target and version"},
		{"no target", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "without method, target and version"},
		{"separator in the method", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, `'(' in the method`},
		{"NUL in the method", "G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "NUL in the method"},
		{"two spaces before the target", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "space in the request target"},
		{"two spaces behind it", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "space in the request target"},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "space in the request target"},
		{"tab for a space", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "without method, target and version"},
		{"tab in the target", "GET /\ta HTTP/1.1\r\nHost: x\r\n\r\n", 400, "tab in the request target"},
		{"raw UTF-8 in the target", "GET /é HTTP/1.1\r\nHost: x\r\n\r\n", 400, "byte 0xc3 in the request target: it must be percent-encoded"},
		{"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400, "byte 0x7f in the request target"},
		{"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 400, "CONNECT is for proxies"},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the target * asks about the server as a whole"},
		{"authority form", "GET x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 400, `request target "x:443" is neither a path`},
		{"a path without its slash", "GET ws HTTP/1.1\r\nHost: x\r\n\r\n", 400, `request target "ws" is neither a path`},
		{"no version", "GET / \r\nHost: x\r\n\r\n", 400, `bad HTTP version ""`},
		{"version in small letters", "GET / http/1.1\r\nHost: x\r\n\r\n", 400, `bad HTTP version "http/1.1"`},
		{"version of one number", "GET / HTTP/1\r\nHost: x\r\n\r\n", 400, `bad HTTP version "HTTP/1"`},
		{"version too long", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400, `bad HTTP version "HTTP/1.10"`},
		{"comma in the version", "GET / HTTP/1,1\r\nHost: x\r\n\r\n", 400, `bad HTTP version "HTTP/1,1"`},
		{"letters in the version", "GET / HTTP/1.x\r\nHost: x\r\n\r\n", 400, `bad HTTP version "HTTP/1.x"`},
		{"a letter for the first number", "GET / HTTP/x.1\r\nHost: x\r\n\r\n", 400, `bad HTTP version "HTTP/x.1"`},
		{"an endless version", "GET / " + strings.Repeat("\x01v", 1000) + "\r\nHost: x\r\n\r\n", 400, `bad HTTP version "` + strings.Repeat(`\x01v`, 16) + `"...`},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", 505, "not HTTP/2.0"},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505, "not HTTP/1.2"},
		{"HTTP/0.9 that says so", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505, "not HTTP/0.9"},
		{"HTTP/0.1", "GET / HTTP/0.1\r\nHost: x\r\n\r\n", 505, "not HTTP/0.1"},
		{"HTTP/9.1", "GET / HTTP/9.1\r\nHost: x\r\n\r\n", 505, "not HTTP/9.1"},

		{"request line in a bare LF", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400, "bare LF"},
		{"header in a bare LF", start + "A: b\nHost: x\r\n\r\n", 400, "bare LF"},
		{"LF alone on a line", start + "Host: x\r\n\nA: b\r\n\r\n", 400, "bare LF"},
		{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bare CR in the request target"},
		{"bare CR in a value", start + "Host: x\r\nA: b\rc\r\n\r\n", 400, `bare CR in header "A"`},
		{"bare CR at the end of a value", start + "Host: x\r\nA: b\r\r\n\r\n", 400, `bare CR in header "A"`},
		{"bare CR in a name", start + "Host: x\r\nA\rB: c\r\n\r\n", 400, "bare CR in a header's name"},
		{"NUL in a value", start + "Host: x\r\nA: b\x00\r\n\r\n", 400, `NUL in header "A"`},
		{"control byte in a value", start + "Host: x\r\nA: \x1b[0m\r\n\r\n", 400, `byte 0x1b in header "A"`},
		{"the last control byte in a value", start + "Host: x\r\nA: \x1f\r\n\r\n", 400, `byte 0x1f in header "A"`},
		{"DEL in a value", start + "Host: x\r\nA: \x7f\r\n\r\n", 400, `byte 0x7f in header "A"`},
		{"no end", start + "Host: x\r\n", 400, "without an end"},

		{"space before the colon", start + "Host: x\r\nA : b\r\n\r\n", 400, "blank between a header's name and its colon"},
		{"tab before the colon", start + "Host: x\r\nA\t: b\r\n\r\n", 400, "blank between a header's name and its colon"},
		{"folded", start + "Host: x\r\nA: b\r\n c\r\n\r\n", 400, "begins with a blank"},
		{"folded with a tab", start + "Host: x\r\nA: b\r\n\tc\r\n\r\n", 400, "begins with a blank"},
		{"blank before the first header", start + " Host: x\r\n\r\n", 400, "begins with a blank"},
		{"no colon", start + "Host: x\r\nsecret\r\n\r\n", 400, "without a colon"},
		{"empty name", start + "Host: x\r\n: b\r\n\r\n", 400, "empty name"},
		{"space in a name", start + "Host: x\r\nA B: c\r\n\r\n", 400, "space in a header's name"},
		{"separator in a name", start + "Host: x\r\nA@B: c\r\n\r\n", 400, "'@' in a header's name"},
		{"UTF-8 in a name", start + "Host: x\r\né: c\r\n\r\n", 400, "byte 0xc3 in a header's name"},
		{"a long name is cut", start + "Host: x\r\n" + strings.Repeat("A", 500) + ": \x01\r\n\r\n", 400, `in header "` + strings.Repeat("A", 32) + `"...`},

		{"no Host", start + "A: b\r\n\r\n", 400, "no Host header"},
		{"no fields", start + "\r\n", 400, "no Host header"},
		{"two Hosts", start + "Host: x\r\nhost: x\r\n\r\n", 400, "more than one Host"},
		{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400, "more than one Host"},
		{"user in Host", start + "Host: a@b\r\n\r\n", 400, "bad Host"},
		{"path in Host", start + "Host: a/b\r\n\r\n", 400, "bad Host"},
		{"space in Host", start + "Host: a b\r\n\r\n", 400, "bad Host"},
		{"bytes over 0x7F in Host", start + "Host: é\r\n\r\n", 400, "bad Host"},

		{"length and coding", start + "Host: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding together with Content-Length"},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding in an HTTP/1.0 request"},
		{"lengths that differ", start + "Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "that differ"},
		{"the last of many lengths differs", start + "Host: x\r\nContent-Length: 5\r\nContent-Length: 5\r\ncontent-length: 05\r\n\r\n", 400, "that differ"},
		{"empty length", start + "Host: x\r\nContent-Length:\r\n\r\n", 400, "bad Content-Length"},
		{"signed length", start + "Host: x\r\nContent-Length: +5\r\n\r\n", 400, "bad Content-Length"},
		{"negative length", start + "Host: x\r\nContent-Length: -1\r\n\r\n", 400, "bad Content-Length"},
		{"hexadecimal length", start + "Host: x\r\nContent-Length: 0x5\r\n\r\n", 400, "bad Content-Length"},
		{"list of lengths", start + "Host: x\r\nContent-Length: 5, 5\r\n\r\n", 400, "bad Content-Length"},
		{"length over an int64", start + "Host: x\r\nContent-Length: 9223372036854775808\r\n\r\n", 400, "bad Content-Length"},

		{"too many fields", start + "Host: x\r\n" + strings.Repeat("A: b\r\n", maxFields) + "\r\n", 431, "more than 256 header fields"},
	} {
		var r Request
		err := ParseHead([]byte(c.head), &r)
		if err == nil {
			t.Errorf("%s: taken", c.name)
			continue
		}
		if err.Status != c.status || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %d %q, want %d %q", c.name, err.Status, err, c.status, c.text)
		}
		if len(err.Text) > 200 || strings.ContainsFunc(err.Text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%s: not a short line of text: %q", c.name, err.Text)
		}
		if strings.Contains(err.Text, "secret") {
			t.Errorf("%s: says a secret: %q", c.name, err.Text)
		}
	}
}

func TestTheMostFieldsThatAreAllowedAreTaken(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", maxFields-1) + "\r\n"
	var r Request
	if err := ParseHead([]byte(head), &r); err != nil || len(r.Fields) != maxFields {
		t.Errorf("%d fields: %v", len(r.Fields), err)
	}
}

func TestABadRequestStillTellsItsMethod(t *testing.T) {
	r := Request{Method: []byte("stale")}
	if ParseHead([]byte("HEAD / HTTP/1.1\r\n\r\n"), &r) == nil || string(r.Method) != "HEAD" {
		t.Errorf("method %q of a head without Host", r.Method)
	}
	if ParseHead([]byte("\x00\r\n\r\n"), &r) == nil || r.Method != nil {
		t.Errorf("method %q of no request at all", r.Method)
	}
}

func TestHopelessInputIsRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		name, in string // refused with the last byte of in, not before
		text     string // "" while there is hope
	}{
		{"nothing", "", ""},
		{"a CR", "\r", ""},
		{"an empty line", "\r\n", ""},
		{"an empty line and a CR", "\r\n\r", ""},
		{"a method", "GET", ""},
		{"a method behind an empty line", "\r\nGET", ""},
		{"half a request line", "GET /ws\x00 HT", ""},
		{"a request line", "GET / HTTP/1.1\r\n", ""},
		{"half a head", "GET / HTTP/1.1\r\nHost: x\r\nA", ""},
		{"TLS", "\x16", "TLS must end in front"},
		{"TLS behind an empty line", "\r\n\x16", "TLS must end in front"},
		{"an LF", "\n", "empty request line"},
		{"NUL", "\x00", "begins with NUL"},
		{"a blank", " ", "begins with space"},
		{"a frame", "\x81", "begins with byte 0x81"},
		{"CR and no LF", "\rG", "empty request line"},
		{"garbage behind letters", "SSTP\x01", "byte 0x01 in the method"},
		{"a bare LF", "GET / HTTP/1.1\n", "bare LF"},
		{"an SSH banner", "SSH-2.0-x\r\n", "without method, target and version"},
		{"mail", "EHLO mail.example.org\r\n", "without method, target and version"},
		{"HTTP/2 that nobody has found before", "PRI * HTTP/2.0\r\n", "not HTTP/2.0"},
		{"a bad version", "GET / HTTP/one\r\n", "bad HTTP version"},
	} {
		for cut := range len(c.in) {
			if err := CheckPartialHead([]byte(c.in[:cut])); err != nil {
				t.Errorf("%s: refused after %d bytes: %s", c.name, cut, err)
			}
		}
		err := CheckPartialHead([]byte(c.in))
		switch {
		case c.text == "" && err != nil:
			t.Errorf("%s: refused: %s", c.name, err)
		case c.text != "" && err == nil:
			t.Errorf("%s: not refused", c.name)
		case c.text != "" && !strings.Contains(err.Text, c.text):
			t.Errorf("%s: got %q, want %q", c.name, err.Text, c.text)
		}
	}
}

func TestAValidHeadIsParsedWithoutAllocation(t *testing.T) {
	head := []byte(browserHead)
	r := Request{Fields: make([]Field, 0, 32)}
	if n := testing.AllocsPerRun(100, func() {
		if err := CheckPartialHead(head[:len(head)-3]); err != nil {
			t.Error(err)
		}
		if err := ParseHead(head, &r); err != nil {
			t.Error(err)
		}
		if err := CheckUpgrade(&r); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseHead holds what is taken against the grammar, and against net/http:
// what it would refuse or read differently must not be taken.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte(browserHead))
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nGET / HTTP/1.0\r\n\r\n", "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nhost: [::1]:1\r\nA:\t\r\n\r\n", "GET http://[::1]:80/ws?a HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://x?a HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n", "GET http://x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "\x16\x03\x01", "\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		end := HeadEnd(in, 0)
		hopeless := CheckPartialHead(in)
		if end < 0 {
			var r Request
			if ParseHead(in, &r) == nil {
				t.Fatalf("%q: taken without its end", in)
			}
			return
		}
		head := in[:end]
		var r Request
		err := ParseHead(head, &r)
		if err != nil {
			checkRefusal(t, err, &r)
			return
		}
		if hopeless != nil {
			t.Fatalf("%q: taken, though found hopeless: %s", in, hopeless)
		}
		for cut := range head {
			if err := CheckPartialHead(head[:cut]); err != nil {
				t.Fatalf("%q: taken, though found hopeless after %d bytes: %s", in, cut, err)
			}
		}
		checkGrammar(t, &r)
		compareWithNetHTTP(t, head, &r)
	})
}

// checkRefusal checks that a refusal is one response that net/http understands.
func checkRefusal(t *testing.T, err *HandshakeError, r *Request) {
	t.Helper()
	raw := err.AppendTo(nil, r.Method)
	br := bufio.NewReader(bytes.NewReader(raw))
	resp, e := http.ReadResponse(br, &http.Request{Method: string(r.Method)})
	if e != nil {
		t.Fatalf("%q: %v", raw, e)
	}
	var body bytes.Buffer
	if _, e := body.ReadFrom(resp.Body); e != nil {
		t.Fatalf("%q: %v", raw, e)
	}
	resp.Body.Close()
	want := err.Text + "\n"
	if string(r.Method) == "HEAD" {
		want = ""
	}
	if resp.StatusCode != err.Status || !resp.Close || body.String() != want || br.Buffered() != 0 {
		t.Fatalf("%q: status %d, body %q, %d bytes behind it", raw, resp.StatusCode, body.String(), br.Buffered())
	}
}

func checkGrammar(t *testing.T, r *Request) {
	t.Helper()
	token := func(b []byte) bool {
		return len(b) > 0 && !bytes.ContainsFunc(b, func(c rune) bool {
			return c <= ' ' || c >= 0x7F || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
		})
	}
	if !token(r.Method) || len(r.Target) == 0 || !bytes.HasPrefix(r.Target, r.Path) || r.Minor > 1 {
		t.Fatalf("method %q, target %q, path %q, minor %d", r.Method, r.Target, r.Path, r.Minor)
	}
	for _, f := range r.Fields {
		if !token(f.Name) || bytes.ContainsAny(f.Value, "\r\n\x00\x7f") || len(bytes.Trim(f.Value, " \t")) != len(f.Value) {
			t.Fatalf("field %q: %q", f.Name, f.Value)
		}
	}
}

func compareWithNetHTTP(t *testing.T, head []byte, r *Request) {
	t.Helper()
	line, _, _ := bytes.Cut(skipEmptyLine(head), []byte("\r"))
	sent := string(bytes.Split(line, []byte(" "))[1])
	parsed, err := url.ParseRequestURI(sent)
	if err != nil {
		return // net/http looks into the target, we do not
	}
	if target := strings.TrimPrefix(sent, parsed.Scheme+"://"+parsed.Host); strings.HasPrefix(sent, "http://") && "/"+strings.TrimPrefix(target, "/") != string(r.Target) {
		t.Fatalf("%q: target %q, net/http has %q", head, r.Target, target)
	}
	if coding, n := r.Get("Transfer-Encoding"); n > 1 || n == 1 && !strings.EqualFold(string(coding), "chunked") {
		return // net/http implements the codings, we do not
	}
	theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(skipEmptyLine(head))))
	if err != nil {
		t.Fatalf("%q: taken, but net/http: %v", head, err)
	}
	if theirs.Method != string(r.Method) || theirs.RequestURI != sent || theirs.ProtoMinor != r.Minor {
		t.Fatalf("%q: got %q %q 1.%d, net/http has %q %q 1.%d", head,
			r.Method, r.Target, r.Minor, theirs.Method, theirs.RequestURI, theirs.ProtoMinor)
	}
	for name, values := range theirs.Header {
		first, n := r.Get(name)
		if _, pragma := r.Get("Pragma"); name == "Cache-Control" && n == 0 && pragma > 0 {
			continue // net/http adds it for the sake of HTTP/1.0 clients
		}
		if name == "Content-Length" { // net/http keeps one of those that agree
			n = len(values)
		}
		if n != len(values) || string(first) != values[0] {
			t.Fatalf("%q: %s is %q, %d times; net/http has %q", head, name, first, n, values)
		}
	}
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte(browserHead)
	r := Request{Fields: make([]Field, 0, 32)}
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseHead(head, &r); err != nil {
			b.Fatal(err)
		}
	}
}
