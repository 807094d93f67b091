package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"ws-gateway/admin/budget"
	"ws-gateway/hub"
)

func TestParseSendTakesThePayloadsOwnBytes(t *testing.T) {
	for _, payload := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `0`, `""`, `"text"`,
		`{"b":1,"a":2,"b":3}`,
		`12345678901234567890.123456789012345678901234567890e-5`,
		`-0`, `1E+2`,
		`"é\u00e9\u2028 \ud83d\ude00 😀 \/ \" \\"`,
		`"\ud800"`,
		`{ "spaced" :	[ 1 , 2 ] }`,
		"{\n\"a\":\r\n\"b\"\n}",
		`"]}"`, `{"]":"}"}`, `["\\","\"",{"\\\"":"\\\\"}]`,
		`"\\\\\\"`, `"<script>&"`,
	} {
		for _, body := range []string{
			`{"conn_id":"x","payload":` + payload + `}`,
			`{"payload":` + payload + `,"conn_id":"x"}`,
			" { \"payload\" :\n\t" + payload + " \r\n, \"conn_id\" : \"x\" } ",
			`{"payload":"first","conn_id":"x","payload":` + payload + `}`,
		} {
			cmd, err := ParseSend([]byte(body), nil, 1<<20)
			if err != nil {
				t.Errorf("%s: %v", body, err)
				continue
			}
			if cmd.Op != ws.OpText || string(cmd.Payload) != payload {
				t.Errorf("%s: frame is %v %s", body, cmd.Op, cmd.Payload)
			}
		}
	}
}

func TestParseSendReadsTargets(t *testing.T) {
	for body, want := range map[string]hub.Targets{
		`{"payload":1,"conn_id":"x"}`:                                {Conn: "x"},
		`{"payload":1,"conn_id":"\u0078\n"}`:                         {Conn: "x\n"},
		`{"payload":1,"users":["a","b","a"]}`:                        {Users: []string{"a", "b", "a"}},
		`{"payload":1,"users":["\u00e9\"","\ud83d\ude00"]}`:          {Users: []string{"é\"", "😀"}},
		`{"payload":1,"users":[""]}`:                                 {Users: []string{""}},
		`{"payload":1,"users":["a"],"conn_id":""}`:                   {Users: []string{"a"}},
		`{"payload":1,"users":["a"],"conn_id":null}`:                 {Users: []string{"a"}},
		`{"payload":1,"users":["a"],"conn_id":"x"}`:                  {Conn: "x", Users: []string{"a"}},
		`{"payload":1,"users":[],"conn_id":"x"}`:                     {Conn: "x"},
		`{"payload":1,"conns":["x","y"]}`:                            {Conns: []string{"x", "y"}},
		`{"payload":1,"conns":["","x",""],"conn_id":"y"}`:            {Conn: "y", Conns: []string{"x"}},
		`{"payload":1,"conns":["x"],"users":["a"]}`:                  {Conns: []string{"x"}, Users: []string{"a"}},
		`{"payload":1,"conns":["",""],"users":["a"]}`:                {Conns: []string{}, Users: []string{"a"}},
		`{"payload":1,"conns":null,"users":["a"]}`:                   {Users: []string{"a"}},
		`{"payload":1,"all":true,"conns":["x"]}`:                     {All: true},
		`{"payload":1,"users":null,"conn_id":"x"}`:                   {Conn: "x"},
		`{"payload":1,"users":["b"],"users":["a"],"conn_id":null}`:   {Users: []string{"a"}},
		`{"payload":1,"users":["a"],"users":null,"conn_id":"x"}`:     {Conn: "x"},
		`{"payload":1,"all":true}`:                                   {All: true},
		`{"payload":1,"all":true,"conn_id":"x","users":["a"]}`:       {All: true},
		`{"payload":1,"all":false,"conn_id":"x"}`:                    {Conn: "x"},
		`{"payload":1,"all":null,"conn_id":"x"}`:                     {Conn: "x"},
		`{"payload":1,"all":true,"exclude":["x",""]}`:                {All: true, Exclude: []string{"x", ""}},
		`{"payload":1,"users":["a"],"exclude":null}`:                 {Users: []string{"a"}},
		`{"payload":1,"conn_id":"x","unknown":{"users":["b"]},"":0}`: {Conn: "x"},
		`{"payload":1,"conn_id":"x","report":null}`:                  {Conn: "x"},
		`{"p\u0061yload":1,"\u0063onn_id":"x"}`:                      {Conn: "x"},
		`{"Conn_id":"y","conn_id":"x","payload":1}`:                  {Conn: "x"},

		`{"payload":1,"groups":["r","\u00e9","r"]}`:                                     {Groups: []string{"r", "é", "r"}},
		`{"payload":1,"groups":["r"],"exclude":["x"],"report":true}`:                    {Groups: []string{"r"}, Exclude: []string{"x"}},
		`{"payload":1,"groups":["r"],"conn_id":"","conns":[""],"users":[],"all":false}`: {Groups: []string{"r"}},
		`{"payload":1,"groups":[],"conn_id":"x"}`:                                       {Conn: "x"},
		`{"payload":1,"groups":null,"users":["a"]}`:                                     {Users: []string{"a"}},
	} {
		cmd, err := ParseSend([]byte(body), nil, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		want.Owned = !want.All && want.Groups == nil
		if !reflect.DeepEqual(cmd.Targets, want) {
			t.Errorf("%s: %+v, want %+v", body, cmd.Targets, want)
		}
	}
}

func TestParseSendDecodesPayloads(t *testing.T) {
	for _, c := range []struct {
		body, want string
		op         ws.OpCode
	}{
		{`{"conn_id":"x","encoding":"text","payload":"plain"}`, "plain", ws.OpText},
		{`{"conn_id":"x","encoding":"text","payload":""}`, "", ws.OpText},
		{`{"conn_id":"x","encoding":"text","payload":"a\n\"b\"\u00e9\ud83d\ude00"}`, "a\n\"b\"é😀", ws.OpText},
		{`{"conn_id":"x","encoding":"text","payload":"\ud800"}`, "\ufffd", ws.OpText},
		{`{"conn_id":"x","encoding":"text","payload":"\udc00\ud800A"}`, "\ufffd\ufffdA", ws.OpText},
		{`{"conn_id":"x","encoding":"text","payload":"\ud800\u0041"}`, "\ufffdA", ws.OpText},
		{`{"conn_id":"x","encoding":"base64","payload":"AAH/"}`, "\x00\x01\xff", ws.OpBinary},
		{`{"conn_id":"x","encoding":"base64","payload":""}`, "", ws.OpBinary},
		{`{"conn_id":"x","encoding":"base64","payload":"AA\u0048\/"}`, "\x00\x01\xff", ws.OpBinary},
		{`{"conn_id":"x","encoding":null,"payload":"q"}`, `"q"`, ws.OpText},
		{`{"conn_id":"x","encoding":"","payload":"q"}`, `"q"`, ws.OpText},
		{`{"conn_id":"x","encoding":"text","encoding":null,"payload":"q"}`, `"q"`, ws.OpText},
	} {
		cmd, err := ParseSend([]byte(c.body), nil, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
		} else if cmd.Op != c.op || string(cmd.Payload) != c.want {
			t.Errorf("%s: %v %q", c.body, cmd.Op, cmd.Payload)
		}
	}
}

const beside = "groups cannot be combined with conn_id, conns, users or all: use a call for each"

func TestParseSendSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{``, "request body is not valid JSON"},
		{` `, "request body is not valid JSON"},
		{`{`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":}`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":1,}`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":01}`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":NaN}`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":1}{}`, "request body is not valid JSON"},
		{"{\"conn_id\":\"x\",\"payload\":\"\xff\"}", "request body is not valid JSON"},
		{"{\"conn_id\":\"x\",\"payload\":\"\xed\xa0\x80\"}", "request body is not valid JSON"},
		{"{\"conn_id\":\"x\",\"payload\":\"\n\"}", "request body is not valid JSON"},
		{"\ufeff{}", "request body is not valid JSON"},
		{`conn_id=x&payload=1`, "request body is not valid JSON"},
		{`{"conn_id":"x","payload":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "request body is not valid JSON"},
		{`[]`, "request body is not a JSON object"},
		{`null`, "request body is not a JSON object"},
		{`"payload"`, "request body is not a JSON object"},
		{`1`, "request body is not a JSON object"},
		{`{}`, "send message target is nil"},
		{`{"payload":1}`, "send message target is nil"},
		{`{"payload":1,"conn_id":""}`, "send message target is nil"},
		{`{"payload":1,"conn_id":null,"users":null}`, "send message target is nil"},
		{`{"payload":1,"users":[]}`, "send message target is nil"},
		{`{"payload":1,"all":false}`, "send message target is nil"},
		{`{"payload":1,"exclude":["x"]}`, "send message target is nil"},
		{`{"payload":1,"all":true,"all":false}`, "send message target is nil"},
		{`{"conn_id":"x"}`, "payload is missing"},
		{`{"conn_id":"x","Payload":1}`, "payload is missing"},
		{`{"all":true}`, "payload is missing"},
		{`{"payload":1,"conn_id":1}`, "conn_id must be a string"},
		{`{"payload":1,"conn_id":["x"]}`, "conn_id must be a string"},
		{`{"payload":1,"conn_id":"x","conn_id":{}}`, "conn_id must be a string"},
		{`{"payload":1,"users":"a"}`, "users must be an array of strings"},
		{`{"payload":1,"users":{"a":"b"}}`, "users must be an array of strings"},
		{`{"payload":1,"users":["a",1]}`, "users must be an array of strings"},
		{`{"payload":1,"users":["a",null]}`, "users must be an array of strings"},
		{`{"payload":1,"users":[["a"]]}`, "users must be an array of strings"},
		{`{"payload":1,"users":true}`, "users must be an array of strings"},
		{`{"payload":1,"conn_id":"x","exclude":"y"}`, "exclude must be an array of strings"},
		{`{"payload":1,"all":"true"}`, "all must be true or false"},
		{`{"payload":1,"all":1}`, "all must be true or false"},
		{`{"payload":1,"conn_id":"x","report":"yes"}`, "report must be true or false"},
		{`{"payload":1,"conn_id":"x","encoding":1}`, "encoding must be a string"},
		{`{"payload":"","conn_id":"x","encoding":"hex"}`, `encoding must be "text" or "base64"`},
		{`{"payload":"","conn_id":"x","encoding":"Text"}`, `encoding must be "text" or "base64"`},
		{`{"payload":1,"conn_id":"x","encoding":"text"}`, "payload must be a string when encoding is text"},
		{`{"payload":null,"conn_id":"x","encoding":"text"}`, "payload must be a string when encoding is text"},
		{`{"payload":{},"conn_id":"x","encoding":"base64"}`, "payload must be a string when encoding is base64"},
		{`{"payload":1,"groups":[]}`, "send message target is nil"},
		{`{"groups":["r"]}`, "payload is missing"},
		{`{"payload":1,"groups":"r"}`, "groups must be an array of strings"},
		{`{"payload":1,"groups":[1]}`, "groups must be an array of strings"},
		{`{"payload":1,"groups":["r"],"conn_id":"x"}`, beside},
		{`{"payload":1,"groups":["r"],"conns":["x"]}`, beside},
		{`{"payload":1,"groups":["r"],"users":[""]}`, beside},
		{`{"payload":1,"groups":["r"],"all":true}`, beside},
		{`{"payload":1,"groups":["r",""]}`, `"" cannot be the name of a group: it is empty`},
		{`{"payload":1,"groups":["a\u0000"]}`, `"a\x00" cannot be the name of a group: it contains a control character`},
		{`{"payload":"AA*=","conn_id":"x","encoding":"base64"}`, "payload is not standard base64: illegal base64 data at input byte 2"},
		{`{"payload":"AAH","conn_id":"x","encoding":"base64"}`, "payload is not standard base64: illegal base64 data at input byte 0"},
		{`{"payload":"-_8=","conn_id":"x","encoding":"base64"}`, "payload is not standard base64: illegal base64 data at input byte 0"},
	} {
		if cmd, err := ParseSend([]byte(c.body), nil, 1<<20); err == nil {
			t.Errorf("%.80s: was taken as %+v", c.body, cmd)
		} else if err.Error() != c.want {
			t.Errorf("%.80s: %q, want %q", c.body, err, c.want)
		}
	}
}

func TestParseClose(t *testing.T) {
	reason := strings.Repeat("é", 61) + "x" // 123 bytes
	for body, want := range map[string]Close{
		`{"conns":["x"]}`:                                {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 1000},
		`{"conns":["","x",""]}`:                          {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 1000},
		`{"users":["a"]}`:                                {Whom: Whom{Targets: hub.Targets{Users: []string{"a"}}}, Code: 1000},
		`{"users":[""]}`:                                 {Whom: Whom{Targets: hub.Targets{Users: []string{""}}}, Code: 1000},
		`{"conns":["x"],"users":["a"]}`:                  {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}, Users: []string{"a"}}}, Code: 1000},
		`{"conns":null,"users":["a"],"code":null}`:       {Whom: Whom{Targets: hub.Targets{Users: []string{"a"}}}, Code: 1000},
		`{"all":true,"conns":["x"],"users":["a"]}`:       {Whom: Whom{Targets: hub.Targets{All: true}}, Code: 1000},
		`{"all":true,"exclude":["y"]}`:                   {Whom: Whom{Targets: hub.Targets{All: true, Exclude: []string{"y"}}}, Code: 1000},
		`{"conns":["x"],"report":true}`:                  {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}, Report: true}, Code: 1000},
		`{"conns":["x"],"code":1000}`:                    {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 1000},
		`{"conns":["x"],"code":3000,"reason":"bye"}`:     {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 3000, Reason: "bye"},
		`{"conns":["x"],"code":4999,"reason":null}`:      {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 4999},
		`{"conns":["x"],"reason":"` + reason + `"}`:      {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 1000, Reason: reason},
		`{"conns":["x"],"code":5,"code":4001,"other":0}`: {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 4001},
		`{"groups":["r","s"],"exclude":["y"]}`:           {Whom: Whom{Targets: hub.Targets{Groups: []string{"r", "s"}, Exclude: []string{"y"}}}, Code: 1000},
		`{"groups":["r"],"conn_id":""}`:                  {Whom: Whom{Targets: hub.Targets{Groups: []string{"r"}}}, Code: 1000},
		`{"conns":["x"],"conn_id":"y"}`:                  {Whom: Whom{Targets: hub.Targets{Conns: []string{"x"}}}, Code: 1000},
	} {
		cmd, err := ParseClose([]byte(body), nil, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if len(cmd.Targets.Conns) == 0 {
			cmd.Targets.Conns = nil
		}
		if !reflect.DeepEqual(cmd, want) {
			t.Errorf("%s: %+v, want %+v", body, cmd, want)
		}
	}
}

func TestParseCloseSaysWhatIsWrong(t *testing.T) {
	const nobody = "close target is nil: name conns or users, or set all"
	const code = "code must be 1000 or a number from 3000 to 4999"
	for _, c := range []struct{ body, want string }{
		{``, "request body is not valid JSON"},
		{`[]`, "request body is not a JSON object"},
		{`{}`, nobody},
		{`{"conns":[],"users":[]}`, nobody},
		{`{"conns":[""]}`, nobody},
		{`{"conns":null}`, nobody},
		{`{"all":false}`, nobody},
		{`{"conn_id":"x"}`, nobody},
		{`{"exclude":["x"]}`, nobody},
		{`{"groups":[]}`, nobody},
		{`{"groups":["r"],"conn_id":"x"}`, beside},
		{`{"groups":["r"],"conn_id":1}`, beside},
		{`{"groups":["r"],"conns":["x"]}`, beside},
		{`{"groups":["r"],"users":["x"]}`, beside},
		{`{"groups":["r"],"all":true}`, beside},
		{`{"groups":["` + strings.Repeat("x", 256) + `"]}`, `"` + strings.Repeat("x", 255) + `" cannot be the name of a group: it has 256 bytes, and may have 255`},
		{`{"conns":"x"}`, "conns must be an array of strings"},
		{`{"conns":["x",2]}`, "conns must be an array of strings"},
		{`{"users":1}`, "users must be an array of strings"},
		{`{"all":0}`, "all must be true or false"},
		{`{"conns":["x"],"report":1}`, "report must be true or false"},
		{`{"conns":["x"],"reason":1}`, "reason must be a string"},
		{`{"conns":["x"],"reason":"` + strings.Repeat("é", 62) + `"}`, "reason must be at most 123 bytes"},
		{`{"conns":["x"],"code":999}`, code},
		{`{"conns":["x"],"code":1001}`, code},
		{`{"conns":["x"],"code":2999}`, code},
		{`{"conns":["x"],"code":5000}`, code},
		{`{"conns":["x"],"code":-1000}`, code},
		{`{"conns":["x"],"code":1000.0}`, code},
		{`{"conns":["x"],"code":1e3}`, code},
		{`{"conns":["x"],"code":66536}`, code},
		{`{"conns":["x"],"code":"1000"}`, code},
		{`{"conns":["x"],"code":true}`, code},
		{`{"conns":["x"],"code":[1000]}`, code},
		{`{"conns":["x"],"code":0}`, code},
	} {
		if cmd, err := ParseClose([]byte(c.body), nil, 1<<20); err == nil {
			t.Errorf("%.80s: was taken as %+v", c.body, cmd)
		} else if err.Error() != c.want {
			t.Errorf("%.80s: %q, want %q", c.body, err, c.want)
		}
	}
}

// A name may take three bytes of a body, and takes more memory than that.
func TestWhatIsMadeOfABodyCounts(t *testing.T) {
	const limit = 240_000
	body := func(name string, n int) []byte {
		return []byte(`{"payload":1,"users":["a"],"` + name + `":["x"` + strings.Repeat(`,""`, n-1) + `]}`)
	}
	for _, name := range []string{"users", "conns", "exclude"} {
		var memory budget.Budget
		memory.SetLimit(1)
		used := func() int64 { _, used, _ := memory.Counts(); return used }
		at := memory.Reserve()
		if _, err := ParseSend(body(name, limit/nameCost), at, limit); name != "users" && !errors.Is(err, ErrNames) {
			t.Errorf("%s, with a user beside: %v", name, err)
		}
		if _, err := ParseSend(body(name, limit/nameCost-1), at, limit); err != nil || used() < (limit/nameCost-1)*nameCost || used() > 3*limit {
			t.Errorf("%s: %v, %d bytes count", name, err, used())
		}
		if allocated := testing.AllocsPerRun(1, func() { ParseSend(body(name, limit), nil, limit) }); allocated > 20 {
			t.Errorf("%s: %v allocations for what is refused", name, allocated)
		}
		other := memory.Reserve()
		if _, err := ParseClose(body(name, 10), other, limit); !errors.Is(err, budget.ErrFull) {
			t.Errorf("%s: in a full budget: %v", name, err)
		}
		if _, err := ParseSend([]byte(`{"payload":"\u0061","encoding":"text","all":true}`), other, limit); !errors.Is(err, budget.ErrFull) {
			t.Errorf("a message that is decoded: %v", err)
		}
		other.Release()
		at.Release()
		if used() != 0 {
			t.Errorf("%s: %d bytes stay", name, used())
		}
	}
}

// FuzzCommands holds the parsers against encoding/json: what they take is an object that
// it takes, with the payload's bytes as they were in the body.
func FuzzCommands(f *testing.F) {
	for _, seed := range []string{
		`{"payload":{},"conn_id":"1","users":["a","b"]}`,
		`{"payload":"\ud800\"\\","encoding":"text","all":true,"exclude":[""]}`,
		`{"payload":"AAE=","encoding":"base64","users":["x"],"report":true}`,
		`{"conns":["x"],"users":["y"],"code":4001,"reason":"é"}`,
		`{"payload":1,"payload":[{}],"conn_id":null,"conn_id":"x"}`,
		`{"groups":["room-1","\u00e9"],"conns":["x"],"exclude":["y"]}`,
		`{"groups":["a","\ud800","b"],"users":[""],"payload":0}`,
		"{\"payload\" :\t-1.5e+7 ,\n\"conn_id\":\"x\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		send, sendErr := ParseSend(body, nil, 1<<20)
		shut, closeErr := ParseClose(body, nil, 1<<20)
		membership, membershipErr := ParseMembership(body, nil, 1<<20)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if sendErr == nil {
			checkSend(t, body, send)
		}
		if closeErr == nil {
			if len(shut.Reason) > maxReason || !utf8.ValidString(shut.Reason) {
				t.Fatalf("reason %q", shut.Reason)
			}
			if to := shut.Targets; !to.All && len(to.Conns)+len(to.Users)+len(to.Groups) == 0 {
				t.Fatalf("closes nobody: %+v", shut)
			}
		}
		if membershipErr == nil {
			checkMembership(t, body, membership)
		}
	})
}

func checkSend(t *testing.T, body []byte, cmd Send) {
	var oracle map[string]json.RawMessage
	if err := json.Unmarshal(body, &oracle); err != nil {
		t.Fatalf("taken, but encoding/json says %v", err)
	}
	var encoding string
	json.Unmarshal(oracle["encoding"], &encoding)
	var want []byte
	switch encoding {
	case "":
		want = oracle["payload"]
	case "text":
		var text string
		json.Unmarshal(oracle["payload"], &text)
		want = []byte(text)
	case "base64":
		var text string
		json.Unmarshal(oracle["payload"], &text)
		want, _ = base64.StdEncoding.DecodeString(text)
	}
	if !bytes.Equal(cmd.Payload, want) {
		t.Fatalf("payload %q, want %q", cmd.Payload, want)
	}
	if cmd.Op == ws.OpText && !utf8.Valid(cmd.Payload) {
		t.Fatalf("text frame %q is not UTF-8", cmd.Payload)
	}
	if cmd.Targets.All || len(cmd.Targets.Groups) > 0 {
		return
	}
	var conn string
	var users []string
	json.Unmarshal(oracle["conn_id"], &conn)
	json.Unmarshal(oracle["users"], &users)
	if conn != cmd.Targets.Conn || len(users) != len(cmd.Targets.Users) {
		t.Fatalf("targets %+v, want %q %q", cmd.Targets, conn, users)
	}
	for i := range users {
		if users[i] != cmd.Targets.Users[i] {
			t.Fatalf("targets %+v, want users %q", cmd.Targets, users)
		}
	}
}
