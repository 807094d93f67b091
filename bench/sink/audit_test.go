package sink

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheAuditKnowsRightFromWrong(t *testing.T) {
	type event struct{ action, id, attempt string }
	for name, c := range map[string]struct {
		events []event
		want   Group
		fault  string
	}{
		"a life": {
			events: []event{{"open", "x-0", "1"}, {"message", "x-1", "1"}, {"message", "x-2", "1"}, {"close", "x-3", "1"}},
			want:   Group{Open: 1, Message: 2, Close: 1},
		},
		"it begins at any number": {events: []event{{"open", "x-7", "1"}, {"close", "x-8", "1"}}, want: Group{Open: 1, Close: 1}},
		"repeated in good faith": {
			events: []event{{"open", "x-0", "1"}, {"open", "x-0", "2"}, {"message", "x-1", "1"}, {"message", "x-1", "2"}, {"close", "x-2", "1"}, {"close", "x-2", "3"}},
			want:   Group{Open: 1, Message: 1, Close: 1, Repeats: 3},
		},
		"repeated without saying so": {
			events: []event{{"open", "x-0", "1"}, {"message", "x-1", "1"}, {"message", "x-1", "1"}},
			want:   Group{Open: 1, Message: 2, Faults: 1}, fault: "event 1 after event 1",
		},
		"a gap": {
			events: []event{{"open", "x-0", "1"}, {"message", "x-2", "1"}},
			want:   Group{Open: 1, Message: 1, Faults: 1}, fault: "event 2 after event 0",
		},
		"no open": {events: []event{{"message", "x-1", "1"}}, want: Group{Open: 1, Message: 1, Faults: 1}, fault: "first event"},
		"two opens": {
			events: []event{{"open", "x-0", "1"}, {"open", "x-1", "1"}},
			want:   Group{Open: 1, Faults: 1}, fault: "opened twice",
		},
		"two closes": {
			events: []event{{"open", "x-0", "1"}, {"close", "x-1", "1"}, {"close", "x-2", "1"}},
			want:   Group{Open: 1, Close: 1, Faults: 1}, fault: "close after its close",
		},
		"a message after the close": {
			events: []event{{"open", "x-0", "1"}, {"close", "x-1", "1"}, {"message", "x-2", "1"}},
			want:   Group{Open: 1, Close: 1, Message: 1, Faults: 1}, fault: "message after its close",
		},
		"another's number": {events: []event{{"open", "y-0", "1"}}, want: Group{Open: 1, Faults: 1}, fault: `called "y-0"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudit()
			for _, e := range c.events {
				a.event(e.action, "x", "user-1", e.id, e.attempt)
			}
			got := a.snapshot()["user"]
			if !strings.Contains(got.Fault, c.fault) || c.fault == "" && got.Fault != "" {
				t.Errorf("fault %q, want %q", got.Fault, c.fault)
			}
			got.Fault = ""
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAnAuditIsReportedByGroupsOfUsers(t *testing.T) {
	c := serve(t, Config{Audit: true})
	for user, id := range map[string]string{"user-1": "a", "user-2": "b", "mute-noise": "c"} {
		req, err := http.NewRequest(http.MethodPost, c.CallbackURL(),
			strings.NewReader(`{"data":{},"action":"open","user_name":"`+user+`","conn_id":"`+id+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", id+"-0")
		req.Header.Set("X-Attempt", "1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	groups := stats(t, c).Groups
	if len(groups) != 2 || groups["user"] != (Group{Open: 2}) || groups["mute"] != (Group{Open: 1}) {
		t.Errorf("got %+v", groups)
	}
}
