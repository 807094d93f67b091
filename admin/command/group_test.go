package command

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ws-gateway/admin/budget"
	"ws-gateway/hub"
	"ws-gateway/hub/groups"
)

func TestParseMembership(t *testing.T) {
	longest := strings.Repeat("é", 127) + "x" // 255 bytes
	for body, want := range map[string]Membership{
		`{"groups":["r"],"conns":["x"]}`:                             {Whom{Targets: hub.Targets{Conns: []string{"x"}}}, []string{"r"}},
		`{"groups":["r","s","r"],"users":["a","b"]}`:                 {Whom{Targets: hub.Targets{Users: []string{"a", "b"}}}, []string{"r", "s", "r"}},
		`{"groups":["r"],"conns":["x"],"users":["a"]}`:               {Whom{Targets: hub.Targets{Conns: []string{"x"}, Users: []string{"a"}}}, []string{"r"}},
		`{"groups":["r"],"users":[""],"exclude":["y"]}`:              {Whom{Targets: hub.Targets{Users: []string{""}, Exclude: []string{"y"}}}, []string{"r"}},
		`{"groups":["r"],"all":true,"conns":["x"],"exclude":["y"]}`:  {Whom{Targets: hub.Targets{All: true, Exclude: []string{"y"}}}, []string{"r"}},
		`{"groups":["` + longest + `"," ","a,b","%2C"],"all":true}`:  {Whom{Targets: hub.Targets{All: true}}, []string{longest, " ", "a,b", "%2C"}},
		`{"groups":["\u00e9\ud83d\ude00\ud800"],"all":true}`:         {Whom{Targets: hub.Targets{All: true}}, []string{"é😀\ufffd"}},
		`{"groups":["s"],"groups":["r"],"all":true,"conn_id":null}`:  {Whom{Targets: hub.Targets{All: true}}, []string{"r"}},
		`{"unknown":{"groups":["s"]},"groups":["r"],"users":["a"]}`:  {Whom{Targets: hub.Targets{Users: []string{"a"}}}, []string{"r"}},
		`{"groups":["r"],"users":["a"],"conns":null,"report":true}`:  {Whom{Targets: hub.Targets{Users: []string{"a"}}, Report: true}, []string{"r"}},
		`{ "all" : true , "groups" : [ "a" , "b" ] , "exclude":[] }`: {Whom{Targets: hub.Targets{All: true}}, []string{"a", "b"}},
	} {
		cmd, err := ParseMembership([]byte(body), nil, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if !reflect.DeepEqual(cmd, want) {
			t.Errorf("%s: %+v, want %+v", body, cmd, want)
		}
	}
}

func TestParseMembershipSaysWhatIsWrong(t *testing.T) {
	const (
		noGroups = "groups is missing: name those to join or to leave"
		nobody   = "group target is nil: name conns or users, or set all"
		connID   = "conn_id is a member of send alone: name connections in conns"
	)
	for _, c := range []struct{ body, want string }{
		{``, "request body is not valid JSON"},
		{"{\"groups\":[\"\xff\"],\"all\":true}", "request body is not valid JSON"},
		{`["r"]`, "request body is not a JSON object"},
		{`{}`, noGroups},
		{`{"conns":["x"]}`, noGroups},
		{`{"groups":null,"conns":["x"]}`, noGroups},
		{`{"groups":[],"conns":["x"]}`, noGroups},
		{`{"groups":["r"]}`, nobody},
		{`{"groups":["r"],"conns":[],"users":[]}`, nobody},
		{`{"groups":["r"],"conns":[""]}`, nobody},
		{`{"groups":["r"],"conn_id":""}`, nobody},
		{`{"groups":["r"],"conn_id":"x"}`, connID},
		{`{"groups":["r"],"conn_id":"x","users":["a"]}`, connID},
		{`{"groups":["r"],"all":true,"conn_id":7}`, "conn_id must be a string"},
		{`{"groups":["r"],"exclude":["x"]}`, nobody},
		{`{"groups":["r"],"all":false}`, nobody},
		{`{"groups":"r","all":true}`, "groups must be an array of strings"},
		{`{"groups":["r",1],"all":true}`, "groups must be an array of strings"},
		{`{"groups":{"r":1},"all":true}`, "groups must be an array of strings"},
		{`{"groups":["r"],"conns":"x"}`, "conns must be an array of strings"},
		{`{"groups":["r"],"users":[null]}`, "users must be an array of strings"},
		{`{"groups":["r"],"all":1}`, "all must be true or false"},
		{`{"groups":["r"],"all":true,"report":1}`, "report must be true or false"},
		{`{"groups":["r",""],"all":true}`, `"" cannot be the name of a group: it is empty`},
		{`{"groups":["a\nb"],"all":true}`, `"a\nb" cannot be the name of a group: it contains a control character`},
		{`{"groups":["a\u007f"],"all":true}`, `"a\x7f" cannot be the name of a group: it contains a control character`},
		{`{"groups":["a\u0085"],"all":true}`, `"a\u0085" cannot be the name of a group: it contains a control character`},
		{`{"groups":["` + strings.Repeat("é", 128) + `"],"all":true}`, `"` + strings.Repeat("é", 127) + `\xc3" cannot be the name of a group: it has 256 bytes, and may have 255`},
	} {
		if cmd, err := ParseMembership([]byte(c.body), nil, 16<<20); err == nil {
			t.Errorf("%.80s: was taken as %+v", c.body, cmd)
		} else if err.Error() != c.want {
			t.Errorf("%.80s: %q, want %q", c.body, err, c.want)
		}
	}
}

func TestGroupsOfABodyCountFourfold(t *testing.T) {
	const limit, most = 960_000, 960_000 / groupCost
	body := func(n int) []byte {
		return []byte(`{"payload":1,"all":false,"groups":["x"` + strings.Repeat(`,"y"`, n-1) + `]}`)
	}
	var memory budget.Budget
	memory.SetLimit(1)
	at := memory.Reserve()
	if _, err := ParseSend(body(most), at, limit); err != nil || at.Held() != most*groupCost {
		t.Errorf("as many as may be: %v, %d bytes count", err, at.Held())
	}
	if _, err := ParseSend(body(most+1), nil, limit); !errors.Is(err, ErrNames) {
		t.Errorf("one more: %v", err)
	}
	other := memory.Reserve()
	for name, parse := range map[string]func() error{
		"send":       func() error { _, err := ParseSend(body(1), other, limit); return err },
		"close":      func() error { _, err := ParseClose(body(1), other, limit); return err },
		"membership": func() error { _, err := ParseMembership(body(1), other, limit); return err },
	} {
		if err := parse(); !errors.Is(err, budget.ErrFull) {
			t.Errorf("%s in a full budget: %v", name, err)
		}
	}
}

// checkMembership is for FuzzCommands.
func checkMembership(t *testing.T, body []byte, cmd Membership) {
	var names []string
	var oracle map[string]json.RawMessage
	if err := json.Unmarshal(body, &oracle); err != nil {
		t.Fatalf("taken, but encoding/json says %v", err)
	}
	if err := json.Unmarshal(oracle["groups"], &names); err != nil || !slices.Equal(names, cmd.Groups) || len(names) == 0 {
		t.Fatalf("groups %q, want %q, %v", cmd.Groups, names, err)
	}
	for _, name := range names {
		if err := groups.CheckName(name); err != nil {
			t.Fatal(err)
		}
	}
	if to := cmd.Targets; !to.All && len(to.Conns)+len(to.Users) == 0 || len(to.Groups) > 0 {
		t.Fatalf("for nobody, or for groups: %+v", cmd)
	}
}
