package forward

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

var alice = Source{Key: 7, Seq: 42, ConnID: []byte("c1"), User: "alice", Headers: "a=b"}

func TestBodiesAreThoseOfTheContract(t *testing.T) {
	pool := eventPool{levels: MaxJSONDepth}
	for _, c := range []struct {
		name, want string
		event      *event
	}{
		{
			"open",
			`{"data":{},"action":"open","user_name":"alice","conn_id":"c1","request":{"uri":"/ws?room=1","remote_addr":"192.0.2.1:5","user_agent":"x \"y\"","origin":""}}`,
			pool.open(&alice, &Request{URI: "/ws?room=1", RemoteAddr: "192.0.2.1:5", UserAgent: `x "y"`}),
		},
		{
			"an object, untouched",
			`{"data": {"b" : 1.000000000000000000001, "a":"\u00e9<>"} ,"action":"message","user_name":"alice","conn_id":"c1"}`,
			pool.message(&alice, []byte(` {"b" : 1.000000000000000000001, "a":"\u00e9<>"} `), false),
		},
		{
			"a scalar",
			`{"data":12345678901234567890,"action":"message","user_name":"alice","conn_id":"c1"}`,
			pool.message(&alice, []byte(`12345678901234567890`), false),
		},
		{
			"other text",
			`{"data":"say \"hi\"\n\u0001é<&>","action":"message","user_name":"alice","conn_id":"c1","encoding":"text"}`,
			pool.message(&alice, []byte("say \"hi\"\n\x01é<&>"), false),
		},
		{
			"empty text",
			`{"data":"","action":"message","user_name":"alice","conn_id":"c1","encoding":"text"}`,
			pool.message(&alice, nil, false),
		},
		{
			"binary, JSON or not",
			`{"data":"e30=","action":"message","user_name":"alice","conn_id":"c1","encoding":"base64"}`,
			pool.message(&alice, []byte("{}"), true),
		},
		{
			"close",
			`{"data":{},"action":"close","user_name":"alice","conn_id":"c1","code":1001,"reason":"bye\\","initiator":"client"}`,
			pool.close(&alice, &End{Code: 1001, Reason: `bye\`, Initiator: "client"}),
		},
	} {
		if got := string(c.event.bodyBytes()); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if got := string(c.event.requestID()); got != "c1-42" {
			t.Errorf("%s: request id %q", c.name, got)
		}
		if c.event.cookie != "a=b" {
			t.Errorf("%s: cookie %q", c.name, c.event.cookie)
		}
	}
}

// decoded is a body as the app sees it.
type decoded struct {
	Data     json.RawMessage
	Action   string
	User     string `json:"user_name"`
	ConnID   string `json:"conn_id"`
	Encoding string
	Request  *struct {
		URI        string
		RemoteAddr string `json:"remote_addr"`
		UserAgent  string `json:"user_agent"`
		Origin     string
	}
	Code      *int
	Reason    *string
	Initiator *string
}

func decode(t *testing.T, e *event) (d decoded) {
	t.Helper()
	if err := json.Unmarshal(e.bodyBytes(), &d); err != nil {
		t.Fatalf("%v: %s", err, e.bodyBytes())
	}
	return d
}

// message is the client's message as the app recovers it.
func (d decoded) message(t *testing.T) string {
	t.Helper()
	if d.Encoding == "" {
		return string(d.Data)
	}
	var s string
	if err := json.Unmarshal(d.Data, &s); err != nil {
		t.Fatal(err)
	}
	if d.Encoding == "text" {
		return s
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || d.Encoding != "base64" {
		t.Fatalf("encoding %q: %v", d.Encoding, err)
	}
	return string(raw)
}

func FuzzBodiesDecodeToWhatWentIn(f *testing.F) {
	f.Add([]byte(`{"a":1}`), false, "alice", "id", 1000, uint32(1))
	f.Add([]byte("\x00\x1f\"\\\u2028\U0001f600"), false, "\xff\xfe\"", "x\\y", -1<<63, uint32(1<<32-1))
	f.Add([]byte("\xff\x00"), true, "", "", 0, uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, binary bool, user, id string, code int, seq uint32) {
		src := Source{Seq: seq, ConnID: []byte(id), User: user}
		want := func(s string) string { return strings.ToValidUTF8(s, "") }
		same := func(what, got, in string) {
			// A run of what is not UTF-8 becomes as many replacement characters.
			if utf8.ValidString(in) && got != in || want(strings.ReplaceAll(got, "\ufffd", "")) != want(strings.ReplaceAll(in, "\ufffd", "")) {
				t.Errorf("%s: %q became %q", what, in, got)
			}
		}
		pool := eventPool{levels: MaxJSONDepth}
		check := func(e *event, size int) decoded {
			if len(e.buf) > size {
				t.Errorf("%d bytes, %d were reckoned: %s", len(e.buf), size, e.buf)
			}
			d := decode(t, e)
			same("user", d.User, user)
			same("conn id", d.ConnID, id)
			return d
		}
		form := formOf(data, binary, MaxJSONDepth)
		if d := check(pool.message(&src, data, binary), messageSize(&src, data, form)); d.message(t) != strings.Trim(string(data), " \t\r\n") && d.message(t) != string(data) {
			t.Errorf("message %q became %q", data, d.message(t))
		}
		req := Request{URI: id, RemoteAddr: user, UserAgent: string(data), Origin: user}
		d := check(pool.open(&src, &req), openSize(&src, &req))
		same("uri", d.Request.URI, id)
		same("user agent", d.Request.UserAgent, string(data))
		same("origin", d.Request.Origin, user)
		end := End{Code: code, Reason: string(data), Initiator: user}
		d = check(pool.close(&src, &end), closeSize(&src, &end))
		same("reason", *d.Reason, string(data))
		if *d.Code != code {
			t.Errorf("code %d became %d", code, *d.Code)
		}
	})
}

func TestEncodingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 1<<10)
	for _, data := range []string{`{"event":"chat","data":{"text":"hello"}}`, "not JSON: \"é\"", "\xff"} {
		data := []byte(data)
		if n := testing.AllocsPerRun(1000, func() {
			f := formOf(data, false, MaxJSONDepth)
			if messageSize(&alice, data, f) > cap(buf) {
				t.Fatal("the buffer is too small")
			}
			buf = appendRequestID(appendMessage(buf[:0], &alice, data, f), &alice)
		}); n != 0 {
			t.Errorf("%q: %v allocations", data, n)
		}
	}
}

func TestLargeBuffersAreLeftToTheCollector(t *testing.T) {
	pool := eventPool{levels: MaxJSONDepth}
	for size, want := range map[int]int{1: 1 << minClass, 1 << minClass: 1 << minClass, 1<<minClass + 1: 1 << (minClass + 1), 1 << maxClass: 1 << maxClass} {
		e := pool.get(size)
		if cap(e.buf) != want {
			t.Errorf("for %d bytes: %d", size, cap(e.buf))
		}
		e.cookie, e.attempts = "secret", 3
		pool.put(e)
		if e.cookie != "" || e.attempts != 0 {
			t.Error("an event in the pool keeps what it held")
		}
	}
	big := pool.get(1<<maxClass + 1)
	big.cookie = "kept"
	pool.put(big)
	if big.cookie != "kept" {
		t.Error("a buffer over the limit went into the pool")
	}
}
