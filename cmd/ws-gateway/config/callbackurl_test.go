package config

import (
	"errors"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/settings"
)

func TestTheCallbackURLComesFromTheFlagThenTheManifestThenTheEnvironment(t *testing.T) {
	manifest := writeTemp(t, "OlaresManifest.yaml", "options: {websocket: {port: 8888, url: /ws/message}}")
	for _, test := range []struct {
		args []string
		env  []string
		want string
		from settings.Source
	}{
		{[]string{"--callback-url=http://app:1/a", "--manifest", manifest}, []string{"WS_PORT=2", "WS_URL=/b"}, "http://app:1/a", "flag"},
		{[]string{"--manifest", manifest}, []string{"WS_PORT=2", "WS_URL=/b"}, "http://127.0.0.1:8888/ws/message", "OlaresManifest.yaml"},
		{nil, []string{"WS_PORT=2", "WS_URL=/b?c=d"}, "http://127.0.0.1:2/b?c=d", "WS_PORT and WS_URL"},
		{nil, []string{"WS_GATEWAY_CALLBACK_URL=http://app:1/a", "WS_PORT=2"}, "http://app:1/a", "WS_GATEWAY_CALLBACK_URL"},
		{[]string{"--no-callback"}, []string{"WS_PORT=2", "WS_URL=/b"}, "", "default"},
		{[]string{"--no-callback"}, []string{"WS_PORT=2"}, "", "default"},
		{[]string{"--no-callback"}, []string{"WS_PORT=tcp://10.0.0.1:80"}, "", "default"},
		{[]string{"--callback-url=http://app:1/a"}, []string{"WS_PORT=tcp://10.0.0.1:80"}, "http://app:1/a", "flag"},
	} {
		c, err := parse(test.args, test.env...)
		if err != nil || c.Callback != test.want || c.From("callback-url") != test.from {
			t.Errorf("%q %q: got %q from %s, %v", test.args, test.env, c.Callback, c.From("callback-url"), err)
		}
	}
}

func TestAMissingOrWrongCallbackURLSaysWhatToDo(t *testing.T) {
	for _, test := range []struct {
		args string
		env  []string
		want []string
	}{
		{"", nil, []string{"--callback-url", "--manifest", "WS_PORT", "WS_URL", "--no-callback"}},
		{"", []string{"WS_PORT=1"}, []string{"WS_PORT", "WS_URL is not"}},
		{"", []string{"WS_URL=/a"}, []string{"WS_URL", "WS_PORT is not"}},
		{"", []string{"WS_PORT=70000", "WS_URL=/a"}, []string{`WS_PORT "70000"`, "1 to 65535"}},
		{"", []string{"WS_PORT=tcp://10.0.0.1:80", "WS_URL=/a"}, []string{`WS_PORT "tcp://10.0.0.1:80"`, "Kubernetes", "Service that is called ws", "enableServiceLinks: false"}},
		{"", []string{"WS_PORT=tcp://10.0.0.1:80", "WS_SERVICE_HOST=10.0.0.1"}, []string{"Service that is called ws", "--callback-url"}},
		{"", []string{"WS_PORT=0", "WS_URL=/a"}, []string{`WS_PORT "0"`}},
		{"", []string{"WS_PORT=1", "WS_URL=a"}, []string{`WS_URL "a"`, "begins with /"}},
		{"", []string{"WS_PORT=1", "WS_URL=/%zz"}, []string{`WS_URL "/%zz"`}},
		{"--callback-url=ftp://app/", nil, []string{`--callback-url "ftp://app/" (from flag)`, "http://"}},
		{"--callback-url=http://user:secret@app/", nil, []string{"--callback-url"}},
		{"--callback-url=app:80/x", nil, []string{"--callback-url"}},
		{"--callback-url=http://a/ --no-callback", nil, []string{"--no-callback (from flag) and --callback-url (from flag)"}},
		{"--manifest=x --no-callback", nil, []string{"--no-callback (from flag) and --manifest (from flag)"}},
		{"--manifest=/does/not/exist", nil, []string{`--manifest "/does/not/exist": no such file`}},
	} {
		_, err := parse(strings.Fields(test.args), test.env...)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q %q: got %v, want %s", test.args, test.env, err, want)
			}
		}
	}
}

func TestTheManifestIsReadLenientlyAndItsErrorsNameTheKey(t *testing.T) {
	for _, test := range []struct{ yaml, url, err string }{
		{yaml: "options: {websocket: {port: 8888, url: /ws/message}}", url: "http://127.0.0.1:8888/ws/message"},
		{yaml: "metadata: {name: app}\nentrances:\n- port: 80\noptions:\n  dependencies: [{name: olares}]\n  websocket:\n    url: /ws/message\n    port: '8888'\n    extra: 1\n", url: "http://127.0.0.1:8888/ws/message"},
		{yaml: "title: '{{ .Values.x }}'\noptions: {websocket: {port: 1, url: /x}}", url: "http://127.0.0.1:1/x"},
		{yaml: "", err: "options.websocket is missing"},
		{yaml: "options: {}", err: "options.websocket is missing"},
		{yaml: "options: {websocket: {url: /x}}", err: "options.websocket.port is missing"},
		{yaml: "options: {websocket: {port: 1}}", err: "options.websocket.url is missing"},
		{yaml: "options: {websocket: {port: eighty, url: /x}}", err: `options.websocket.port "eighty"`},
		{yaml: "options: {websocket: {port: 1, url: x}}", err: `options.websocket.url "x"`},
		{yaml: "options: {websocket: {port: 1, url: 5}}", err: `options.websocket.url "5"`},
		{yaml: "{{ if .Values.x }}\na: b: c\n{{ end }}", err: "Helm template"},
		{yaml: "a: b: c", err: "not readable as YAML"},
	} {
		url, err := parseManifest([]byte(test.yaml))
		if test.err == "" && (err != nil || url != test.url) {
			t.Errorf("%q: got %q, %v", test.yaml, url, err)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: got error %v", test.yaml, err)
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
