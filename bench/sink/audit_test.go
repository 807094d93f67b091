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
			events: []event{{"open", "x-1", "1"}, {"message", "x-2", "1"}, {"message", "x-3", "1"}, {"close", "x-4", "1"}},
			want:   Group{Open: 1, Message: 2, Close: 1},
		},
		"it begins at another number": {
			events: []event{{"open", "x-7", "1"}, {"close", "x-8", "1"}},
			want:   Group{Open: 1, Close: 1, Faults: 1}, fault: "event 7 of connection x, its open, came before those that precede it",
		},
		"repeated in good faith": {
			events: []event{{"open", "x-1", "1"}, {"open", "x-1", "2"}, {"message", "x-2", "1"}, {"message", "x-2", "2"}, {"close", "x-3", "1"}, {"close", "x-3", "3"}},
			want:   Group{Open: 1, Message: 1, Close: 1, Repeats: 3},
		},
		"repeated without saying so": {
			events: []event{{"open", "x-1", "1"}, {"message", "x-2", "1"}, {"message", "x-2", "1"}},
			want:   Group{Open: 1, Message: 2, Faults: 1}, fault: "event 2 of connection x, its message, came again",
		},
		"a gap": {
			events: []event{{"open", "x-1", "1"}, {"message", "x-3", "1"}},
			want:   Group{Open: 1, Message: 1, Faults: 1}, fault: "event 3 of connection x, its message, came before those that precede it",
		},
		"no open": {events: []event{{"message", "x-2", "1"}}, want: Group{Open: 1, Message: 1, Faults: 1}, fault: "its message, came before the open"},
		"two opens": {
			events: []event{{"open", "x-1", "1"}, {"open", "x-2", "1"}},
			want:   Group{Open: 1, Faults: 1}, fault: "event 2 of connection x, its open, is a second open",
		},
		"two closes": {
			events: []event{{"open", "x-1", "1"}, {"close", "x-2", "1"}, {"close", "x-3", "1"}},
			want:   Group{Open: 1, Close: 1, Faults: 1}, fault: "event 3 of connection x, its close, came after the close",
		},
		"a message after the close": {
			events: []event{{"open", "x-1", "1"}, {"close", "x-2", "1"}, {"message", "x-3", "1"}},
			want:   Group{Open: 1, Close: 1, Message: 1, Faults: 1}, fault: "its message, came after the close",
		},
		"another action":   {events: []event{{"open", "x-1", "1"}, {"leave", "x-2", "1"}}, want: Group{Open: 1, Faults: 1}, fault: "its leave, is of no known kind"},
		"another's number": {events: []event{{"open", "y-1", "1"}}, want: Group{Open: 1, Faults: 1}, fault: `called "y-1"`},
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
		req.Header.Set("X-Request-Id", id+"-1")
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
