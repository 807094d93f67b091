package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

func TestATableTakesNoMoreThanTheTerminalHasWhileItsColumnsCanGiveWay(t *testing.T) {
	columns := []column{{"A", 3}, {"ID", 0}, {"LAST", 4}}
	rows := [][]string{{"aaaaaaaa", "0123456789", strings.Repeat("x", 20)}}
	for _, test := range []struct {
		width int
		want  []int
	}{
		{0, []int{8, 10, 20}}, {42, []int{8, 10, 20}}, {41, []int{8, 10, 19}}, {26, []int{8, 10, 4}}, {25, []int{7, 10, 4}}, {21, []int{3, 10, 4}}, {5, []int{3, 10, 4}},
	} {
		got := fit(columns, rows, test.width)
		if !slices.Equal(got, test.want) {
			t.Errorf("width %d: %v, want %v", test.width, got, test.want)
		}
		line := strings.TrimSuffix(tableLine(columns, got, rows[0]), "\n")
		if n := terminal.Columns(line); test.width >= 21 && n > test.width || !strings.Contains(line, "0123456789") {
			t.Errorf("width %d: the line %q takes %d", test.width, line, n)
		}
	}
}

func TestTheHeadingComesOnceAndLaterPagesKeepTheColumns(t *testing.T) {
	now := time.Date(2026, 1, 2, 13, 0, 0, 0, time.UTC)
	table := &connTable{width: 60, now: now}
	var out strings.Builder
	page := func(name, agent string) {
		if err := table.write(&out, []listed{{ID: "0123", Name: name, UserAgent: agent, ConnectedAt: now.Add(-time.Hour), RemoteAddr: "127.0.0.1:1"}}); err != nil {
			t.Fatal(err)
		}
	}
	page("al", "short")
	page("a long name", strings.Repeat("y", 100))
	if err := table.write(&out, nil); err != nil {
		t.Fatal(err)
	}
	want := "USER  ID    SINCE     ADDRESS      AGENT\n" +
		"al    0123  12:00:00  127.0.0.1:1  short\n" +
		"a l…  0123  12:00:00  127.0.0.1:1  " + strings.Repeat("y", 24) + "…\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if got := since(now.Add(-24*time.Hour), now); got != "2026-01-01 13:00" {
		t.Errorf("a day ago is %q", got)
	}
}

func TestWordsAreCompletedWithWhatCanStandThere(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"se", "send"},
		{"tail --act", "--action"},
		{"tail --action ", "open message ping send close"},
		{"tail --action c", "close"},
		{"tail --action=c", "--action=close"},
		{"tail --action = c", "close"}, // as bash takes it apart
		{"tail --action =", "open message ping send close"},
		{"--keepalive p", "ping"},
		{"demo --log-level w", "warn"},
		{"check --js", "--json"},
		{"list --log", ""}, // an option of the gateway
		{"list --he", "--help"},
		{"list --limit 3 --js", "--json"},
		{"send --user list --bin", "--binary"}, // list is a user here
		{"completion ", "bash zsh fish"},
		{"replay d", ":files"},
		{"send --file d", ":files"},
		{"send -f d", ":files"},
		{"--config=d", ":files"},
		{"list --nonsense=", ""},
		{"comp", "completion"}, // and not what the scripts call
	} {
		found, files := propose(strings.Split(test.words, " "))
		var words []string
		for _, f := range found {
			words = append(words, f.word)
		}
		if files {
			words = append(words, completeFiles)
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("%q: %q, want %q", test.words, got, test.want)
		}
	}
	if found, files := propose(nil); found != nil || files {
		t.Error("nothing was typed, and something proposed")
	}
}

func TestTheGatewayWarnsOfNoVariableOfItsClients(t *testing.T) {
	var line clientLine
	parser, err := kong.New(&line, settings.New().Mappers()...)
	if err != nil {
		t.Fatal(err)
	}
	env := settings.Environment{"WS_GATEWAY_NO_CALLBACK": "1"}
	for _, command := range parser.Model.Children {
		if !isClientCommand(command.Name) {
			t.Errorf("%s is not known as a client's command", command.Name)
		}
		for _, f := range command.Flags {
			if f.Group != nil && f.Group.Key == clientGroup.Key {
				env[settings.EnvName(f.Name)] = "10s"
			}
		}
	}
	if len(env) != 1+len(clientVariables) {
		t.Errorf("the variables are %v", env)
	}
	c, err := parseConfig(nil, env, new(strings.Builder))
	if err != nil || len(c.warnings) != 0 {
		t.Errorf("%v, %v", err, c.warnings)
	}
	if isClientCommand("Send") || isClientCommand("run") {
		t.Error("more are known than there are")
	}
}

func TestTheDocsHaveTheClientsCommands(t *testing.T) {
	content, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(content), "<!-- options -->")
	for field := range reflect.TypeFor[clientCommands]().Fields() {
		if name := strings.ToLower(field.Name); !strings.Contains(table, "`"+name+"`") && !strings.Contains(table, "`ws-gateway "+name) {
			t.Errorf("docs/configuration.md says nothing of ws-gateway %s", name)
		}
	}
}

func TestTheGatewayOfTheEnvironmentIsFoundWithItsTokenAndOnlyThere(t *testing.T) {
	file := writeTemp(t, "token", "from-file\n")
	for _, test := range []struct {
		o            gatewayOptions
		env          settings.Environment
		where, token string
	}{
		{gatewayOptions{}, settings.Environment{}, "http://127.0.0.1:40010", ""},
		{gatewayOptions{}, settings.Environment{"WS_GATEWAY_LISTEN": ":7", "WS_GATEWAY_ADMIN_TOKEN": "t"}, "http://127.0.0.1:7", "t"},
		{gatewayOptions{}, settings.Environment{"WS_GATEWAY_LISTEN": "[::]:7"}, "http://[::1]:7", ""},
		{gatewayOptions{}, settings.Environment{"WS_GATEWAY_LISTEN": ":7", "WS_GATEWAY_ADMIN_LISTEN": "unix:/a.sock", "WS_GATEWAY_ADMIN_TOKEN_FILE": file}, "unix:/a.sock", "from-file"},
		{gatewayOptions{Token: "mine"}, settings.Environment{"WS_GATEWAY_ADMIN_TOKEN": "t"}, "http://127.0.0.1:40010", "mine"},
		{gatewayOptions{Gateway: "http://other:1"}, settings.Environment{"WS_GATEWAY_ADMIN_TOKEN": "t"}, "http://other:1", ""},
		{gatewayOptions{Gateway: "other:1", TokenFile: file}, settings.Environment{}, "http://other:1", "from-file"},
		{gatewayOptions{Gateway: "localhost:40010"}, settings.Environment{}, "http://localhost:40010", ""},
		{gatewayOptions{Gateway: ":7"}, settings.Environment{}, "http://127.0.0.1:7", ""},
		{gatewayOptions{Gateway: "http://:7/behind/"}, settings.Environment{}, "http://127.0.0.1:7/behind/", ""},
		{gatewayOptions{Gateway: "https://0.0.0.0:7"}, settings.Environment{}, "https://127.0.0.1:7", ""},
		{gatewayOptions{Gateway: "[::]:7"}, settings.Environment{}, "http://[::1]:7", ""},
		{gatewayOptions{Gateway: "[::1]:7"}, settings.Environment{}, "http://[::1]:7", ""},
	} {
		where, token, err := test.o.locate(test.env, "/nonexistent/gateway.yaml")
		if err != nil || where != test.where || token != test.token {
			t.Errorf("%+v %v: %q, %q, %v", test.o, test.env, where, token, err)
		}
	}
	for _, o := range []gatewayOptions{{Gateway: "ftp://x"}, {Gateway: "http://u:p@x"}, {Gateway: "unix:"}, {Gateway: "http://x/?q"}, {Token: "a b"}, {Token: "a", TokenFile: "b"}, {TokenFile: "/nonexistent"}} {
		if m, err := o.manager(settings.Environment{}); exitCodeOf(err) != program.ExitUsage || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%+v: %v, %v", o, m, err)
		}
	}
	for where, want := range map[string]string{
		"40010":             "written as :40010",
		"/run/gateway.sock": "written as unix:/run/gateway.sock",
		"ws://x:1/ws":       `"ws://x:1/ws": must be http://`,
		"tcp://10.0.0.1:80": `"tcp://10.0.0.1:80": must be http://`,
		"http://":           "must be http://",
		"http://:":          "must be http://",
		"http://x:1/#y":     "fragment",
		"http://x:y":        "must be http://",
	} {
		if _, err := (&gatewayOptions{Gateway: where}).manager(settings.Environment{}); exitCodeOf(err) != program.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("--gateway %s: %v, want %s", where, err, want)
		}
	}
}

func TestAnEventIsOneLineThatSaysWhatMatters(t *testing.T) {
	s := &clientIO{}
	for line, want := range map[string]string{
		`{"time":"2026-01-02T03:04:05.006Z","action":"open","user_name":"al\u001b","conn_id":"c1","remote_addr":"1.2.3.4:5"}`:                             `2026-01-02T03:04:05.006Z open    al\x1b       c1 from 1.2.3.4:5`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"message","user_name":"","conn_id":"c1","size":7,"data":{"a":1}}`:                                    `2026-01-02T03:04:05.006Z message ""           c1 7 B  {"a":1}`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"send","user_name":"bob","conn_id":"c1","size":9,"data":"a\nb","encoding":"text","truncated":true}`:  `2026-01-02T03:04:05.006Z send    bob          c1 9 B  a\nb…`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"send","user_name":"bob","conn_id":"c1","size":2,"data":"AAE=","encoding":"base64"}`:                 `2026-01-02T03:04:05.006Z send    bob          c1 2 B  base64 AAE=`,
		`{"time":"2026-01-02T03:04:05.006Z","action":"close","user_name":"bob","conn_id":"c1","code":1008,"reason":"ping timeout","initiator":"gateway"}`: `2026-01-02T03:04:05.006Z close   bob          c1 1008 by gateway: ping timeout`,
		`{"dropped":120}`: "… 120 events left out; --rate shows more",
		`{"dropped":1}`:   "… 1 event left out; --rate shows more",
		`{"time":"2026-01-02T03:04:05.006Z","action":"heartbeat"}`: "",
		`{"something":"new"}`: "",
		`no JSON`:             "",
	} {
		var out strings.Builder
		s.out = &out
		if err := (&tail{s: s}).print([]byte(line)); err != nil || strings.TrimSuffix(out.String(), "\n") != want {
			t.Errorf("%s:\n%q, want\n%q; %v", line, &out, want, err)
		}
	}
	s.color, s.outTerminal = true, true
	e := liveEvent{Action: "close", Conn: "c", Initiator: "gateway"}
	if got := s.describe(&e); !strings.Contains(got, red+"close  "+noColor) {
		t.Errorf("in colour: %q", got)
	}
}

// Ids of connections begin with a dash in one start of 64, and are copied from lists.
func TestAValueMayBeginWithADash(t *testing.T) {
	for line, want := range map[string]string{
		"close --conn -Abc_1":               "conn -Abc_1",
		"close --conn --Abc_1":              "conn --Abc_1",
		"close --conn a --conn -B --report": "conn a -B",
		"close --conn -B --code -5":         "conn -B",
		"close --conn":                      "--conn: missing value",
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
	} {
		command, err := parseClient(strings.Fields(line), settings.Environment{}, io.Discard)
		got := fmt.Sprint(err)
		if err == nil {
			switch c := command.(type) {
			case *closeOptions:
				got = "conn " + strings.Join(c.Conn, " ")
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
