package forward

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestHealthSaysSinceWhenTheAppIsDownOrBack(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		h := f.Health()
		equal(t, "the address, without its query", h.App, "http://app/hook")
		equal(t, "down at first", h.Down, false)
		equal(t, "no outage yet", h.Since.IsZero(), true)

		time.Sleep(time.Second)
		a.setDown(true)
		went := time.Now()
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(10 * time.Second)
		h = f.Health()
		equal(t, "down", h.Down, true)
		equal(t, "since", h.Since.Equal(went), true)

		a.setDown(false)
		time.Sleep(10 * time.Second)
		h = f.Health()
		equal(t, "down afterwards", h.Down, false)
		equal(t, "back between", h.Since.After(went.Add(10*time.Second)) && h.Since.Before(went.Add(20*time.Second)), true)
	})
}

func TestHealthRemembersTheLastFailures(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
		equal(t, "none", len(f.Health().Failures), 0)
		for i := range keptFailures + 3 {
			f.Message(source(i, 7), []byte("secret"), false)
			time.Sleep(time.Second)
		}
		failures := f.Health().Failures
		equal(t, "kept", len(failures), keptFailures)
		for i := range failures {
			e := failures[i]
			src := source(keptFailures+2-i, 7)
			equal(t, "request id", e.RequestID, fmt.Sprintf("%s-%d", src.ConnID, src.Seq))
			e.Time, e.RequestID = time.Time{}, ""
			equal(t, "failure", e, Failure{Action: "message", Attempts: 1, Status: http.StatusTeapot, Reason: Rejected})
		}
	})
}

func TestDataIsInTheFormOfCallbacks(t *testing.T) {
	for _, c := range []struct {
		data        string
		binary, cut bool
		want        string
	}{
		{`{"a": 1}`, false, false, `{"a": 1} `},
		{`12345`, false, false, `12345 `},
		{`12345`, false, true, `"12345" text`},
		{`{"a`, false, true, `"{\"a" text`},
		{`plain`, false, false, `"plain" text`},
		{"\x01", true, false, `"AQ==" base64`},
		{"1", true, true, `"MQ==" base64`},
		{"1e400", false, false, `"1e400" text`},
	} {
		got, encoding := AppendData(nil, []byte(c.data), c.binary, c.cut, MaxJSONDepth)
		equal(t, c.data, string(got)+" "+encoding, c.want)
	}
}
