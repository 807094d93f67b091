package config

import (
	"testing"
)

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	_, err := parse([]string{"--no-callback", "--config", "/does/not/exist.yaml"})
	if err == nil || err.Error() != `--config "/does/not/exist.yaml": no such file or directory` {
		t.Errorf("got %v", err)
	}
}

func TestAListForASingleValueIsAnError(t *testing.T) {
	_, err := parse([]string{"--no-callback", "--config", writeTemp(t, "g.yaml", "listen: [a, b]")})
	if err == nil || err.Error() != `--listen "a, b" (from g.yaml line 1): must be one value, not a list` {
		t.Errorf("got %v", err)
	}
}

func TestTheDemosOwnOptionIsUnknownToTheGatewaysFile(t *testing.T) {
	file := writeTemp(t, "g.yaml", "app-listen: 127.0.0.1:1")
	if _, err := parse([]string{"--no-callback", "--config", file}); err == nil {
		t.Error("run takes an option that does nothing")
	}
	if c := mustParse(t, []string{"demo", "--config", file}); c.AppListen != "127.0.0.1:1" {
		t.Errorf("demo: got %q", c.AppListen)
	}
}

func FuzzManifest(f *testing.F) {
	for _, seed := range []string{"options: {websocket: {port: 1, url: /x}}", "options:\n  websocket:\n    port: '8'\n", "{{ x }}: 1", "options: [1]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		url, err := parseManifest(data)
		if err == nil && !isCallbackURL(url) {
			t.Fatalf("%q is taken", url)
		}
	})
}
