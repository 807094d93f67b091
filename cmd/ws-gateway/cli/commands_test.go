package cli_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/settings"
)

// wholeModel is the command line with the gateway's own commands.
func wholeModel() *kong.Application { return config.Parser{Clients: &cli.Commands{}}.Model() }

func TestWordsAreCompletedWithWhatCanStandThere(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"se", "send"},
		{"tail --act", "--action"},
		{"join room-1 --us", "--user"},
		{"send --group send --bin", "--binary"}, // send is a group here
		{"groups --c", "--conn --config"},
		{"tail --action ", "open message ping send close away resumed"},
		{"tail --action c", "close"},
		{"tail --action=c", "--action=close"},
		{"tail --action = c", "close"}, // as bash takes it apart
		{"tail --action =", "open message ping send close away resumed"},
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
		var out strings.Builder
		cli.Complete(&out, strings.Split(test.words, " "), wholeModel().Node)
		var words []string
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("%q: %q, want %q", test.words, got, test.want)
		}
	}
	var out strings.Builder
	if cli.Complete(&out, nil, wholeModel().Node); out.Len() != 0 {
		t.Errorf("nothing was typed, and proposed is %q", &out)
	}
}

func TestTheGatewayWarnsOfNoVariableOfItsClients(t *testing.T) {
	env := settings.Environment{"WS_GATEWAY_NO_CALLBACK": "1"}
	for _, command := range cli.Model().Children {
		if !cli.Is(command.Name) {
			t.Errorf("%s is not known as a client's command", command.Name)
		}
		for _, f := range command.Flags {
			if f.Group != nil && f.Group.Key == cli.Group.Key {
				env[settings.EnvName(f.Name)] = "10s"
			}
		}
	}
	if len(env) != 1+4 {
		t.Errorf("the variables are %v", env)
	}
	c, err := config.Parser{Env: env, Clients: &cli.Commands{}}.Parse(nil)
	if err != nil || len(c.Warnings) != 0 {
		t.Errorf("%v, %v", err, c.Warnings)
	}
	if cli.Is("Send") || cli.Is("run") {
		t.Error("more are known than there are")
	}
}

func TestTheDocsHaveTheClientsCommands(t *testing.T) {
	content, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(content), "<!-- options -->")
	for field := range reflect.TypeFor[cli.Commands]().Fields() {
		if name := strings.ToLower(field.Name); !strings.Contains(table, "`"+name+"`") && !strings.Contains(table, "`ws-gateway "+name) {
			t.Errorf("docs/configuration.md says nothing of ws-gateway %s", name)
		}
	}
}
