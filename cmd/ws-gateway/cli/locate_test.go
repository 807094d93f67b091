package cli

import (
	"maps"
	"os"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

func TestTheGatewayOfTheEnvironmentIsFoundWithItsTokenAndOnlyThere(t *testing.T) {
	file := configtest.WriteTemp(t, "token", "from-file\n")
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
		where, token, err := test.o.locate(inEnvironment(test.env), "/nonexistent/gateway.yaml")
		if err != nil || where != test.where || token != test.token {
			t.Errorf("%+v %v: %q, %q, %v", test.o, test.env, where, token, err)
		}
	}
	for _, o := range []gatewayOptions{{Gateway: "ftp://x"}, {Gateway: "http://u:p@x"}, {Gateway: "unix:"}, {Gateway: "http://x/?q"}, {Token: "a b"}, {Token: "a", TokenFile: "b"}, {TokenFile: "/nonexistent"}} {
		if m, err := o.gateway(inEnvironment(nil)); exitCodeOf(err) != program.ExitUsage || strings.Contains(err.Error(), "u:p") {
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
		if _, err := (&gatewayOptions{Gateway: where}).gateway(inEnvironment(nil)); exitCodeOf(err) != program.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("--gateway %s: %v, want %s", where, err, want)
		}
	}
}

// The configuration of the Debian package, as it is delivered and as it is changed.
func TestAGatewayIsFoundByItsConfigurationFile(t *testing.T) {
	packaged := configtest.WriteTemp(t, "gateway.yaml", readFile(t, "../../../deploy/package/gateway.yaml"))
	tokenFile := configtest.WriteTemp(t, "token", "of-the-file\n")
	changed := configtest.WriteTemp(t, "gateway.yaml", "admin-listen: unix:/run/ws-gateway/admin.sock\nadmin-token-file: "+tokenFile+"\nmax-connections: 5\nallowed-origins: [https://a.example]\n")
	shared := configtest.WriteTemp(t, "gateway.yaml", "listen: \"[::]:8080\"\nadmin-token: in-the-file\n")
	for _, test := range []struct {
		config       string // --config
		standard     string
		env          settings.Environment
		where, token string
	}{
		{"", packaged, nil, "http://127.0.0.1:40011", ""},
		{packaged, "", nil, "http://127.0.0.1:40011", ""},
		{"", changed, nil, "unix:/run/ws-gateway/admin.sock", "of-the-file"},
		{shared, packaged, nil, "http://[::1]:8080", "in-the-file"},
		{shared, "", settings.Environment{"WS_GATEWAY_ADMIN_LISTEN": ":7"}, "http://127.0.0.1:7", "in-the-file"},
		{changed, "", settings.Environment{"WS_GATEWAY_LISTEN": ":7", "WS_GATEWAY_ADMIN_TOKEN": ""}, "unix:/run/ws-gateway/admin.sock", "of-the-file"},
		{"", packaged, settings.Environment{"WS_GATEWAY_LISTEN": ":7"}, "http://127.0.0.1:7", ""}, // a container
		{"", packaged, settings.Environment{"WS_GATEWAY_ADMIN_LISTEN": "unix:/a"}, "unix:/a", ""},
		{"", packaged, settings.Environment{"WS_GATEWAY_ADMIN_TOKEN": "t"}, "http://127.0.0.1:40011", "t"},
		{"", "/nonexistent/gateway.yaml", nil, "http://127.0.0.1:40010", ""},
	} {
		env := maps.Clone(test.env)
		if test.config != "" {
			env = settings.Environment{"WS_GATEWAY_CONFIG": test.config}
			maps.Copy(env, test.env)
		}
		where, token, err := new(gatewayOptions).locate(inEnvironment(env), test.standard)
		if err != nil || where != test.where || token != test.token {
			t.Errorf("%+v: %q, %q, %v", test, where, token, err)
		}
		named := gatewayOptions{Gateway: ":9"}
		if where, token, err := named.locate(inEnvironment(env), test.standard); err != nil || where != "http://127.0.0.1:9" || token != "" {
			t.Errorf("%+v with --gateway: %q, %q, %v", test, where, token, err)
		}
	}
	wrong := configtest.WriteTemp(t, "gateway.yaml", "admin-listen: nonsense\n")
	for _, file := range []string{"/nonexistent/gateway.yaml", wrong, configtest.WriteTemp(t, "gateway.yaml", "admin-lisn: x\n"), configtest.WriteTemp(t, "gateway.yaml", "{")} {
		_, _, err := new(gatewayOptions).locate(inEnvironment(settings.Environment{"WS_GATEWAY_CONFIG": file}), packaged)
		if exitCodeOf(err) != program.ExitUsage || !strings.Contains(err.Error(), "--gateway") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, standard := range []string{configtest.WriteTemp(t, "gateway.yaml", "{"), t.TempDir()} {
		if _, _, err := new(gatewayOptions).locate(inEnvironment(nil), standard); err == nil || !strings.Contains(err.Error(), standard) {
			t.Errorf("the file that nobody named is not: %v", err)
		}
	}
}

// inEnvironment is what commands have around them.
func inEnvironment(env settings.Environment) *surroundings {
	return &surroundings{env: env, options: func() []string {
		return settings.Names(settings.Options(config.Parser{}.Model().Flags))
	}}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
