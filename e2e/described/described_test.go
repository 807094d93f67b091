package described

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAnAnswerThatIsNotDescribedIsFound(t *testing.T) {
	const ok = `{"code":0,"message":"success","data":{"connections":1,"users":1}}`
	for _, c := range []struct {
		why          string
		method, path string
		status       int
		header, body string
		wrong        string // what is said of it; "" for nothing
	}{
		{"as described", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", ok, ""},
		{"another way to write the path", "GET", "/TAPR/ws/conn/count/", 200, "Content-Type: application/json", ok, ""},
		{"to HEAD", "HEAD", "/tapr/ws/conn/count", 200, "Content-Type: application/json", "", ""},
		{"to HEAD, with a body", "HEAD", "/tapr/ws/conn/count", 200, "Content-Type: application/json", ok, "has a body"},
		{"a mistake", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{"code":400,"message":"m"}`, ""},
		{"a member that is not described", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{"code":0,"message":"success","more":1}`, "more"},
		{"one within data", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{"code":0,"message":"success","data":{"connections":1,"users":1,"groups":1}}`, "groups"},
		{"a member is missing", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{"code":0,"message":"success","data":{"connections":1}}`, "users"},
		{"another type", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{"code":"0","message":"success"}`, "code"},
		{"no JSON", "GET", "/tapr/ws/conn/count", 200, "Content-Type: application/json", `{`, "not JSON"},
		{"another content type", "GET", "/tapr/ws/conn/count", 200, "Content-Type: text/html", ok, "content type"},
		{"no content type", "GET", "/tapr/ws/conn/count", 200, "", ok, "content type"},
		{"another status", "GET", "/tapr/ws/conn/count", 418, "Content-Type: application/json", ok, "status 418"},
		{"a status and another code", "GET", "/tapr/ws/conn/count", 503, "Content-Type: application/json", `{"code":500,"message":"m"}`, "beside status 503"},
		{"another method", "POST", "/tapr/ws/conn/count", 405, "Content-Type: application/json\nAllow: GET, HEAD", `{"code":405,"message":"m"}`, ""},
		{"another method, without Allow", "POST", "/tapr/ws/conn/count", 405, "Content-Type: application/json", `{"code":405,"message":"m"}`, "Allow"},
		{"another method, and it was served", "DELETE", "/tapr/ws/conn/count", 200, "Content-Type: application/json", ok, "method"},
		{"a wrong header", "GET", "/tapr/ws/conn/count", 503, "Content-Type: application/json\nRetry-After: soon", `{"code":503,"message":"m"}`, "Retry-After"},
		{"a stream", "GET", "/tapr/ws/conn/events", 200, "Content-Type: application/x-ndjson", "{\"dropped\":1}\n{\"dropped\":2}\n", ""},
		{"a line of a stream", "GET", "/tapr/ws/conn/events", 200, "Content-Type: application/x-ndjson", "{\"dropped\":1}\n{\"lost\":2}\n", "lost"},
		{"text", "GET", "/readyz", 503, "Content-Type: text/plain; charset=utf-8", "shutting down\n", ""},
		{"a page", "GET", "/console/main.js", 200, "Content-Type: text/javascript; charset=utf-8", "", ""},
		{"no route", "GET", "/elsewhere", 418, "", "", ""},
		{"an address that has no API", "GET", "/tapr/ws/conn/count", 404, "Content-Type: text/plain", "", ""},
	} {
		header := headerOf(c.header)
		checkSaid(t, c.why, Answer(c.method, c.path, c.status, header, []byte(c.body)), c.wrong)
	}
}

func TestACallbackThatIsNotDescribedIsFound(t *testing.T) {
	const (
		id      = "X-Request-Id: cU0yq1pJ7wsAAAAAAAAAAAAB-2\nX-Attempt: 1\nContent-Type: application/json"
		message = `{"data":[1],"action":"message","user_name":"alice","conn_id":"cU0yq1pJ7wsAAAAAAAAAAAAB"}`
	)
	for _, c := range []struct{ why, header, body, wrong string }{
		{"as described", id + "\nX-Ws-Epoch: abc\nCookie: a=b\nX-Other: 1", message, ""},
		{"signed", id + "\nX-Ws-Signature: t=1,v1=" + strings.Repeat("0a", 32), message, ""},
		{"signed wrongly", id + "\nX-Ws-Signature: t=1", message, "X-Ws-Signature"},
		{"a batch", id, "[" + message + "]", ""},
		{"an empty batch", id, "[]", "validation failed"},
		{"a header of ours that is not described", id + "\nX-Ws-New: 1", message, "X-Ws-New"},
		{"no attempt", strings.Replace(id, "X-Attempt: 1\n", "", 1), message, "X-Attempt"},
		{"attempt 0", strings.Replace(id, "Attempt: 1", "Attempt: 0", 1), message, "X-Attempt"},
		{"a member that is not described", id, strings.Replace(message, "{", `{"new":1,`, 1), "new"},
		{"a close without a code", id, `{"data":{},"action":"close","user_name":"","conn_id":"x","reason":"","initiator":"app"}`, "code"},
		{"another action", id, strings.Replace(message, `"message"`, `"other"`, 1), "/action"},
	} {
		checkSaid(t, c.why, Callback(headerOf(c.header), []byte(c.body)), c.wrong)
	}
	for _, c := range []struct {
		status              int
		header, body, wrong string
	}{
		{200, "X-Ws-Join: a, b\nX-Ws-Close: 4001 that is all", "", ""},
		{200, "X-Ws-Close: now", "", "X-Ws-Close"},
		{200, "X-Ws-Batch: partial", `{"failed":[{"request_id":"cU0yq1pJ7wsAAAAAAAAAAAAB-2","retry":false}]}`, ""},
		{200, "X-Ws-Batch: partial", `{"failed":["x"]}`, "failed"},
		{403, "X-Ws-Error: signature", "", ""},
		{403, "X-Ws-Join: a", "", "X-Ws-Join"},
		{302, "Location: /", "", ""},
	} {
		checkSaid(t, strconv.Itoa(c.status)+" "+c.header, CallbackAnswer(c.status, headerOf(c.header), []byte(c.body)), c.wrong)
	}
}

func TestACloseFrameThatIsNotDescribedIsFound(t *testing.T) {
	for _, c := range []struct {
		code          int
		reason, wrong string
	}{
		{1000, "", ""}, {4001, "signed out", ""}, {1001, "going away", ""}, {1002, "a reserved bit is set", ""}, {1008, "ping timeout", ""},
		{1001, "", "reason"}, {1008, "no reason", "reason"}, {1011, "", "code"}, {2999, "", "code"}, {1002, "", "reason"},
	} {
		checkSaid(t, strconv.Itoa(c.code)+" "+c.reason, Close(c.code, c.reason), c.wrong)
	}
}

func TestAMessageAboutASessionThatIsNotDescribedIsFound(t *testing.T) {
	const greeting = `"resumed":true,"id":"c","token":"t-_1","for":60,"received":0`
	for message, wrong := range map[string]string{
		"\x1e{" + greeting + "}": "", "\x1e{" + greeting + `,"protocol":"chat"}`: "", "\x1e0": "", "\x1e17": "",
		"{" + greeting + "}": "U+001E", "\x1e{" + greeting + `,"more":1}`: "more", "\x1e" + `{"resumed":true}`: "token", "\x1e-1": "minimum", "\x1eone": "not JSON", "\x1e": "not JSON",
	} {
		checkSaid(t, message, Session(message), wrong)
	}
}

func headerOf(lines string) http.Header {
	header := http.Header{}
	for line := range strings.Lines(lines) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			header.Add(name, value)
		}
	}
	return header
}

func checkSaid(t *testing.T, what string, err error, wrong string) {
	t.Helper()
	switch {
	case err == nil && wrong != "":
		t.Errorf("%s: nothing is wrong, want %q", what, wrong)
	case err != nil && (wrong == "" || !strings.Contains(err.Error(), wrong)):
		t.Errorf("%s: %v, want %q", what, err, wrong)
	}
}

// Every schema of both documents is compiled, and every example held against its own.
func TestTheExamplesOfTheDescriptionsAreWhatTheySayThemselves(t *testing.T) {
	for name, d := range map[string]*document{"openapi.yaml": openAPI(), "asyncapi.yaml": asyncAPI()} {
		examples := 0
		d.eachSchema(func(pointer string, owner object) {
			shown, _ := owner["examples"].(object)
			values := []any{}
			for _, key := range slices.Sorted(maps.Keys(shown)) {
				values = append(values, shown[key].(object)["value"])
			}
			if messages, ok := owner["examples"].([]any); ok {
				for _, m := range messages {
					values = append(values, m.(object)["payload"])
				}
			}
			if one, ok := owner["example"]; ok {
				values = append(values, one)
			}
			if _, err := d.schema(pointer); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, value := range values {
				examples++
				if err := d.checkValue(pointer, value); err != nil {
					shown, _ := json.Marshal(value)
					t.Errorf("%s: the example %s: %v", name, shown, err)
				}
			}
		})
		if examples < 3 {
			t.Errorf("%s: only %d examples are found", name, examples)
		}
	}
}

// eachSchema visits whatever has a schema, or as a message of AsyncAPI a payload.
func (d *document) eachSchema(visit func(pointer string, owner object)) {
	var walk func(node any, pointer string)
	walk = func(node any, pointer string) {
		switch node := node.(type) {
		case object:
			for _, key := range []string{"schema", "payload"} {
				if _, ok := node[key].(object); ok && !strings.HasSuffix(pointer, "/examples") && !strings.Contains(pointer, "/examples/") {
					visit(pointer+"/"+key, node)
				}
			}
			for key, child := range node {
				walk(child, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
			}
		case []any:
			for i, child := range node {
				walk(child, pointer+"/"+strconv.Itoa(i))
			}
		}
	}
	walk(d.root, "")
}
