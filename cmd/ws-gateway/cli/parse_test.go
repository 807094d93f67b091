package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/settings"
)

// Ids of connections begin with a dash in one start of 64, and are copied from lists.
func TestAValueMayBeginWithADash(t *testing.T) {
	for line, want := range map[string]string{
		"close --conn -Abc_1":               "conn -Abc_1",
		"close --conn --Abc_1":              "conn --Abc_1",
		"close --conn a --conn -B --report": "conn a -B",
		"close --conn -B --code -5":         "conn -B",
		"close --conn":                      "--conn: needs a value",
		"close --conn --report":             "--conn: needs a value",
		"close --conn --report --all":       "--conn: needs a value",
		"close --conn --usr x":              "--conn: needs a value",
		"list --limit -1":                   "--limit \"-1\"",
		"list --limit -1 --usr x":           "did you mean",
		"list --timeout -5s":                "--timeout \"-5s\"",
		"send --user -al -- -hello":         "user -al -hello",
		"send --user a -f":                  "--file: needs a value",
		"send --user -f x":                  "--user: needs a value",
		"send --exclude -B --all -f -":      "exclude -B",
		"send --user=-al hello":             "user -al hello",
		"send --report -al hello":           "unknown flag",
		"close --all -- --conn -B":          "unexpected argument",
		"join a,b c --user -al":             "groups a,b c, user -al",
		"leave --conn -B -- -a":             "groups -a, user ",
		"join --user al":                    "which groups?",
		"leave":                             "which groups?",
		"meta --user al":                    "which metadata?",
		"meta --user al --usr x":            "unknown flag --usr",
		"config":                            "ws-gateway config schema prints the JSON Schema",
		"completion":                        "which shell?",
		"connect --away 3s":                 "--away is for --cut",
		"connect --resume --away 3s":        "--away is for --cut",
		"tail --action x":                   "must be one of open, message, ping, send, close",
		"join a --user":                     "--user: needs a value",
		"groups --conn -B --user x":         "can't be used together",
	} {
		command, err := parse(strings.Fields(line), settings.Environment{}, io.Discard)
		got := fmt.Sprint(err)
		if err == nil {
			switch c := command.(type) {
			case *closeOptions:
				got = "conn " + strings.Join(c.Conn, " ")
			case *joinOptions:
				got = "groups " + strings.Join(c.Group, " ") + ", user " + strings.Join(c.User, " ")
			case *leaveOptions:
				got = "groups " + strings.Join(c.Group, " ") + ", user " + strings.Join(c.User, " ")
			case *sendOptions:
				switch {
				case len(c.Exclude) > 0:
					got = "exclude " + strings.Join(c.Exclude, " ")
				case c.Payload != nil:
					got = "user " + strings.Join(c.User, " ") + " " + *c.Payload
				}
			}
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// A user may be called as nobody would write it.
func TestWhatNamesSomebodyIsTakenAsItIsTyped(t *testing.T) {
	want := []string{" ", "", "a,b", " c\n"}
	args := []string{"send"}
	for _, name := range want {
		args = append(args, "--user", name)
	}
	command, err := parse(append(args, " "), settings.Environment{}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c := command.(*sendOptions); !slices.Equal(c.User, want) || *c.Payload != " " {
		t.Errorf("users %q, payload %q", c.User, *c.Payload)
	}
}
