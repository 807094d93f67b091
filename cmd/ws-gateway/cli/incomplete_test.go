package cli

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
)

// changes are the commands that change something, at a gateway.
func changes(at string, asJSON, report, failIfNone bool) map[string]command {
	payload := "x"
	to, nobody := gatewayOptions{Gateway: at, Timeout: time.Minute}, nobodyOptions{failIfNone}
	scope := changeScope{everywhere}
	member := memberOptions{Group: []string{"g"}, All: true, JSON: asJSON, Report: report, nobodyOptions: nobody, changeScope: scope, gatewayOptions: to}
	return map[string]command{
		"send":  &sendOptions{Payload: &payload, All: true, JSON: asJSON, Report: report, nobodyOptions: nobody, changeScope: scope, gatewayOptions: to},
		"close": &closeOptions{All: true, Code: 1000, JSON: asJSON, Report: report, nobodyOptions: nobody, changeScope: scope, gatewayOptions: to},
		"meta":  &metaOptions{Meta: "null", All: true, JSON: asJSON, Report: report, nobodyOptions: nobody, changeScope: scope, gatewayOptions: to},
		"join":  &joinOptions{member},
		"leave": &leaveOptions{member},
	}
}

func TestAnAnswerThatIsNotGoodIsPrintedAsAGoodOne(t *testing.T) {
	const (
		part    = `{"code":502,"message":"m","data":{"matched":2,"queued":2,"slow":0},"missing":["b"]}`
		none    = `{"code":504,"message":"m","data":{"matched":0,"queued":0,"slow":0},"missing":["b"]}`
		bare    = `{"code":502,"message":"m","missing":["b"]}`
		refused = `{"code":502,"message":"m","missing":["b"],"refused":true}`
		mistake = `{"code":400,"message":"m"}`
	)
	for _, test := range []struct {
		body                       string
		asJSON, report, failIfNone bool
		out                        string // begins so
		err                        string
		code                       int
	}{
		{part, false, false, false, "", "done in part (code 502): not reached: b;", ExitPartly},
		{part, true, false, false, part + "\n", "done in part (code 502): not reached: b;", ExitPartly},
		{part, false, true, false, "matched 2", "done in part (code 502): not reached: b;", ExitPartly},
		{part, true, true, true, part + "\n", "done in part (code 502): not reached: b;", ExitPartly},
		{none, false, true, true, "matched 0", "done in part (code 504): no answer in time from b,", ExitPartly},
		{bare, false, true, true, "", "not reached (code 502): b;", ExitPartly},
		{bare, true, true, true, bare + "\n", "not reached (code 502): b;", ExitPartly},
		{refused, false, true, true, "", "the gateway refuses (code 502): not reached: b; nothing was done", ExitRefused},
		{refused, true, true, true, refused + "\n", "the gateway refuses (code 502): not reached: b; nothing was done", ExitRefused},
		{mistake, true, true, true, mistake + "\n", "the gateway refuses: m (code 400)", ExitRefused},
		{mistake, false, true, true, "", "the gateway refuses: m (code 400)", ExitRefused},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, test.body) }))
		for name, command := range changes(server.URL, test.asJSON, test.report, test.failIfNone) {
			var out, notes strings.Builder
			s := inEnvironment(nil)
			s.out, s.notes = &out, &notes
			err := command.run(t.Context(), s)
			if err == nil || !strings.HasPrefix(err.Error(), test.err) || exitCodeOf(err) != test.code {
				t.Errorf("%s %+v: %v", name, test, err)
			}
			if got := out.String(); !strings.HasPrefix(got, test.out) || test.out == "" && got != "" || strings.Count(got, "\n") > 1 || notes.Len() > 0 {
				t.Errorf("%s %+v: printed %q, noted %q", name, test, got, &notes)
			}
		}
		server.Close()
	}
}

func TestAnAnswerThatNeverCameIsNotPrinted(t *testing.T) {
	for name, command := range changes("http://127.0.0.1:1", true, true, true) {
		var out strings.Builder
		s := inEnvironment(nil)
		s.out = &out
		err := command.run(t.Context(), s)
		if _, none := errors.AsType[*api.Unreachable](err); !none || out.Len() > 0 {
			t.Errorf("%s: %v, printed %q", name, err, &out)
		}
	}
}

func TestGatewaysThatAreNotKnownAreExplained(t *testing.T) {
	var notes strings.Builder
	s := &surroundings{notes: &notes}
	for _, names := range [][]string{{"*"}, {"*"}, {"b", "c"}, nil} {
		s.noteMissing(names)
	}
	const want = "ws-gateway: not reached, and not part of this: * (gateways that are not known, because NATS is not reached)\n" +
		"ws-gateway: not reached, and not part of this: b, c\n" +
		"ws-gateway: all gateways are reached again\n"
	if notes.String() != want {
		t.Errorf("%s", &notes)
	}
}
