package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

const mebibyte = 1 << 20

func TestMessagesArriveWhetherTextOrBinaryWholeOrFragmented(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	r := g.rawClient(t, "alice")

	r.say(frame(fin|opText, `{"n":1}`))
	r.say(frame(opText, `{"n"`) + frame(opContinuation, "") + frame(opContinuation, ":2") + frame(fin|opContinuation, "}"))
	// Control frames may come between fragments (RFC 6455, section 5.4), and a
	// fragment may end inside a character.
	r.say(frame(opText, "\"\xe2\x82") + frame(fin|opPing, "between") + frame(fin|opContinuation, "\xac\""))
	r.expect(fin|opPong, "between")
	r.say(frame(opBinary, "\x00\x01") + frame(fin|opContinuation, "\xff"))

	for i, want := range []string{`{"n":1}`, `{"n":2}`, `"€"`, `"` + base64.StdEncoding.EncodeToString([]byte("\x00\x01\xff")) + `"`} {
		if got := string(app.message("alice", i+1).event.Data); got != want {
			t.Errorf("message %d is %s, want %s", i+1, got, want)
		}
	}
}

func TestAMessageOfTheGreatestSizePassesAndOneByteMoreIs1009(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	full := `"` + strings.Repeat("a", mebibyte-2) + `"`

	whole := g.Dial(t, "whole")
	whole.Send(full)
	if got := app.message("whole", 1).event.Data; string(got) != full {
		t.Errorf("the message of 1 MiB arrived with %d bytes", len(got))
	}
	_ = whole.Write(websocket.MessageText, full+" ") // the gateway may close before all of it is written
	if closed, err := whole.Ended(); err != nil || closed.Code != websocket.StatusMessageTooBig {
		t.Errorf("1 MiB and a byte: %v %v, want 1009", closed, err)
	}
	app.closedAs(t, "whole", 1009, "gateway")

	pieces := g.rawClient(t, "pieces")
	half := strings.Repeat("a", mebibyte/2)
	pieces.say(frame(opBinary, half) + frame(fin|opContinuation, half))
	app.message("pieces", 1)
	pieces.say(frame(opBinary, half) + frame(opContinuation, half) + frame(fin|opContinuation, "x"))
	pieces.expectClose(1009)
	app.closedAs(t, "pieces", 1009, "gateway")

	// A frame that is only announced: its head is enough.
	announced := g.rawClient(t, "announced")
	announced.say("\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff" + "mask")
	announced.expectClose(1009)
	app.closedAs(t, "announced", 1009, "gateway")
}

// closedAs waits for the user's one close event and checks who ended what how.
func (a *app) closedAs(t testing.TB, user string, code int, initiator string) *call {
	t.Helper()
	c := a.closed(user)
	if c.event.Code != code || c.event.Initiator != initiator {
		t.Errorf("close of %s: code %d by %q, want %d by %q", user, c.event.Code, c.event.Initiator, code, initiator)
	}
	a.whole(t, c.event.Conn)
	return c
}

func TestTextThatIsNotUTF8IsClosedWith1007(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for user, bytes := range map[string]string{
		"invalid byte":         frame(fin|opText, "abc\xff"),
		"surrogate":            frame(fin|opText, "\xed\xa0\x80"),
		"overlong":             frame(fin|opText, "\xc0\xaf"),
		"cut at the end":       frame(fin|opText, "\xe2\x82"),
		"cut across fragments": frame(opText, "\xe2\x82") + frame(fin|opContinuation, "x"),
		"above the last":       frame(fin|opText, "\xf4\x90\x80\x80"),
		"in a close reason":    frame(fin|opClose, closePayload(1000, "\xff")),
	} {
		t.Run(user, func(t *testing.T) {
			r := g.rawClient(t, user)
			r.say(bytes)
			r.expectClose(1007)
			app.closedAs(t, user, 1007, "gateway")
		})
	}
}

func TestAProtocolErrorIsClosedWith1002AndItsReason(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	for user, bytes := range map[string]string{
		"unmasked":                  "\x81\x02hi",
		"a reserved bit":            frame(fin|rsv1|opText, "x"),
		"a reserved opcode":         frame(fin|0x3, "x"),
		"a reserved control opcode": frame(fin|0xB, "x"),
		"a fragmented control":      frame(opPing, "x"),
		"a long control":            frame(fin|opPing, strings.Repeat("x", 126)),
		"a continuation of nothing": frame(fin|opContinuation, "x"),
		"text inside a message":     frame(opText, "x") + frame(fin|opText, "y"),
		"a close payload of 1 byte": frame(fin|opClose, "x"),
		"close code 1005":           frame(fin|opClose, closePayload(1005, "")),
		"close code 999":            frame(fin|opClose, closePayload(999, "")),
		"close code 1016":           frame(fin|opClose, closePayload(1016, "")),
		"close code 5000":           frame(fin|opClose, closePayload(5000, "")),
		"length with its top bit":   "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"length not minimal":        "\x82\xfe\x00\x01\x00\x00\x00\x00x",
	} {
		t.Run(user, func(t *testing.T) {
			r := g.rawClient(t, user)
			r.say(bytes)
			if reason := r.expectClose(1002); reason == "" {
				t.Error("the close frame does not say what was wrong")
			}
			app.closedAs(t, user, 1002, "gateway")
		})
	}
}

func TestWhatFollowsACloseFrameIsNotDelivered(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	r := g.rawClient(t, "alice")
	r.say(frame(fin|opText, `1`) + frame(fin|opClose, closePayload(4000, "bye")) + frame(fin|opText, `2`))
	r.expect(fin|opClose, closePayload(4000, "bye")[:2])
	r.expectEnd()
	closed := app.closedAs(t, "alice", 4000, "client")
	if closed.event.Reason != "bye" {
		t.Errorf("reason %q", closed.event.Reason)
	}
	if n := len(app.attempts(func(c *call) bool { return c.is("message", "alice") })); n != 1 {
		t.Errorf("%d messages were forwarded, want 1", n)
	}
}

func TestAJSONPingIsAnsweredWithExactlyThesePongBytesAndNotForwarded(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for _, ping := range []string{
		`{"event":"ping"}`,
		`{"event":"ping","data":{}}`,
		`{"data":{"event":"x","list":[1,{"event":"y"}]},"event":"ping"}`,
		"{\n    \"event\": \"ping\",\n    \"data\": {}\n}",
		" \t\r\n{\"event\" : \"ping\"}\n",
		`{"event":"\u0070ing"}`,
	} {
		c.Send(ping)
		c.Receive(`{"event":"pong"}`)
	}
	others := []string{
		`{"event":"pingpong"}`,
		`{"event":"PING"}`,
		`{"data":{"event":"ping"}}`,
		`{"event":{"event":"ping"}}`,
		`{"event":["ping"]}`,
		`[{"event":"ping"}]`,
		`"ping"`,
		`{"x":"{\"event\":\"ping\"}"}`,
		`{"Event":"ping"}`,
	}
	for i, other := range others {
		c.Send(other)
		if got := string(app.message("alice", i+1).event.Data); got != other {
			t.Errorf("message %d is %s, want %s", i+1, got, other)
		}
	}
	// Nothing was answered to these: the next thing to come is a ping's answer.
	c.Send(`{"event":"ping"}`)
	c.Receive(`{"event":"pong"}`)
}

func TestABrokenPingIsForwardedAsText(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	c := g.Dial(t, "alice")
	for i, broken := range []string{`{"event":"ping"`, `{"event":"ping"}}`, `{"event":"ping",}`, `{event:"ping"}`} {
		c.Send(broken)
		got := app.message("alice", i+1).event
		var text string
		if err := json.Unmarshal(got.Data, &text); err != nil || text != broken || got.Encoding != "text" {
			t.Errorf("%s arrived as %s, encoding %q", broken, got.Data, got.Encoding)
		}
	}
}

func TestAPingFrameIsAnsweredWithAPongFrame(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	r := g.rawClient(t, "alice")
	for _, payload := range []string{"", "hello", strings.Repeat("x", 125), "\x00\xff"} {
		r.say(frame(fin|opPing, payload))
		r.expect(fin|opPong, payload)
	}
	r.say(frame(fin|opPong, "unasked"))
	r.say(frame(fin|opPing, "still there"))
	r.expect(fin|opPong, "still there")
}

func TestMessagesOfEverySizeArriveIntactHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	g := startGateway(t, app)
	random := rand.New(rand.NewPCG(1, 2))
	r := g.rawClient(t, "alice")
	var stream strings.Builder
	var want []string
	for _, size := range []int{0, 1, 124, 125, 126, 127, 1000, 4095, 4096, 16384, 65535, 65536, 65537, 200_000} {
		message := make([]byte, size)
		for i := range message {
			message[i] = byte(random.Uint32())
		}
		want = append(want, string(message))
		stream.WriteString(frame(fin|opBinary, string(message)))
	}
	for rest := stream.String(); rest != ""; {
		n := min(len(rest), 1+random.IntN(40_000))
		r.say(rest[:n])
		rest = rest[n:]
	}
	for i, message := range want {
		got := app.message("alice", i+1).event
		var text string
		if err := json.Unmarshal(got.Data, &text); err != nil {
			t.Fatal(err)
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || string(data) != message || got.Encoding != "base64" {
			t.Errorf("the message of %d bytes arrived as %d bytes, encoding %q (%v)", len(message), len(data), got.Encoding, err)
		}
	}
}
