package main

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// The configuration of the Debian package, as it is delivered and as it is changed.
func TestAGatewayIsFoundByItsConfigurationFile(t *testing.T) {
	packaged := writeTemp(t, "gateway.yaml", readDeploy(t, "package/gateway.yaml"))
	tokenFile := writeTemp(t, "token", "of-the-file\n")
	changed := writeTemp(t, "gateway.yaml", "admin-listen: unix:/run/ws-gateway/admin.sock\nadmin-token-file: "+tokenFile+"\nmax-connections: 5\nallowed-origins: [https://a.example]\n")
	shared := writeTemp(t, "gateway.yaml", "listen: \"[::]:8080\"\nadmin-token: in-the-file\n")
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
		where, token, err := new(gatewayOptions).locate(env, test.standard)
		if err != nil || where != test.where || token != test.token {
			t.Errorf("%+v: %q, %q, %v", test, where, token, err)
		}
		named := gatewayOptions{Gateway: ":9"}
		if where, token, err := named.locate(env, test.standard); err != nil || where != "http://127.0.0.1:9" || token != "" {
			t.Errorf("%+v with --gateway: %q, %q, %v", test, where, token, err)
		}
	}
	wrong := writeTemp(t, "gateway.yaml", "admin-listen: nonsense\n")
	for _, file := range []string{"/nonexistent/gateway.yaml", wrong, writeTemp(t, "gateway.yaml", "admin-lisn: x\n"), writeTemp(t, "gateway.yaml", "{")} {
		_, _, err := new(gatewayOptions).locate(settings.Environment{"WS_GATEWAY_CONFIG": file}, packaged)
		if exitCodeOf(err) != program.ExitUsage || !strings.Contains(err.Error(), "--gateway") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, standard := range []string{writeTemp(t, "gateway.yaml", "{"), t.TempDir()} {
		if _, _, err := new(gatewayOptions).locate(nil, standard); err == nil || !strings.Contains(err.Error(), standard) {
			t.Errorf("the file that nobody named is not: %v", err)
		}
	}
}

func TestWhoStartsWithoutTheFileOfThePackageHearsOfIt(t *testing.T) {
	packaged := writeTemp(t, "gateway.yaml", "")
	for _, test := range []struct {
		file, standard string
		hears          bool
	}{{"", packaged, true}, {packaged, packaged, false}, {"", packaged + ".none", false}} {
		err := noCallback(test.file, test.standard)
		if !errors.Is(err, errNoCallback) || strings.Contains(err.Error(), "--config "+packaged) != test.hears {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
