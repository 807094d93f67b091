// Package configtest makes configurations, and values for each option, for tests. It
// imports config and settings.
package configtest

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/settings"
)

// Parse parses a command line under an environment of "NAME=value" entries.
func Parse(args []string, env ...string) (*config.Config, error) {
	return config.Parser{Env: settings.NewEnvironment(env)}.Parse(args)
}

// MustParse is Parse for a configuration that is valid.
func MustParse(t testing.TB, args []string, env ...string) *config.Config {
	t.Helper()
	c, err := Parse(args, env...)
	if err != nil {
		t.Fatalf("%q %q: %v", args, env, err)
	}
	return c
}

// WriteTemp writes a file of that name and returns its path.
func WriteTemp(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

//go:embed client.pem
var clientPEM string

// certificate writes a certificate with its key, and returns its path.
func certificate(t testing.TB) string { return WriteTemp(t, "client.pem", clientPEM) }

// TwoValues are two values of an option, each as text and as what it must become.
type TwoValues struct {
	Text [2]string
	Want [2]any
}

// ValuesFor returns two values for an option.
func ValuesFor(t *testing.T, v settings.Value) TwoValues {
	t.Helper()
	switch v.Target.Interface().(type) {
	case bool:
		return TwoValues{[2]string{"true", "false"}, [2]any{true, false}}
	case int:
		return TwoValues{[2]string{"3", "4"}, [2]any{3, 4}}
	case settings.Size:
		if v.Name == "max-meta" {
			return TwoValues{[2]string{"1KiB", "512"}, [2]any{settings.Size(1 << 10), settings.Size(512)}}
		}
		return TwoValues{[2]string{"2MiB", "3145728"}, [2]any{settings.Size(2 << 20), settings.Size(3 << 20)}}
	case time.Duration:
		if v.Name == "shutdown-timeout" || v.Name == "cluster-dead-after" {
			return TwoValues{[2]string{"20s", "25s"}, [2]any{20 * time.Second, 25 * time.Second}}
		}
		return TwoValues{[2]string{"2s", "2500ms"}, [2]any{2 * time.Second, 2500 * time.Millisecond}}
	case []string:
		if v.Name == "allowed-origins" {
			return TwoValues{[2]string{"https://a.example,https://b.example", "https://c.example"},
				[2]any{[]string{"https://a.example", "https://b.example"}, []string{"https://c.example"}}}
		}
		if v.Name == "cluster" {
			return TwoValues{[2]string{"nats://a,tls://b:1", "nats://c"}, [2]any{[]string{"nats://a", "tls://b:1"}, []string{"nats://c"}}}
		}
		if v.Name == "trusted-proxies" {
			return TwoValues{[2]string{"10.0.0.0/8,::1", "192.0.2.1"}, [2]any{[]string{"10.0.0.0/8", "::1"}, []string{"192.0.2.1"}}}
		}
		if v.Name == "callback-header" {
			return TwoValues{[2]string{"X-A:1", "X-B:2"}, [2]any{[]string{"X-A:1"}, []string{"X-B:2"}}}
		}
		if v.Tag.Sep == '\n' { // a comma is part of a value
			return TwoValues{[2]string{"one", "two"}, [2]any{[]string{"one"}, []string{"two"}}}
		}
		return TwoValues{[2]string{"a,b", "c"}, [2]any{[]string{"a", "b"}, []string{"c"}}}
	}
	text := [2]string{"one", "two"}
	if oneof := v.Tag.Get("oneof"); oneof != "" {
		text = [2]string(strings.Split(oneof, ",")[:2])
	}
	switch v.Name {
	case "listen", "app-listen":
		text = [2]string{"127.0.0.1:1", "127.0.0.1:2"}
	case "admin-listen":
		text = [2]string{"127.0.0.1:3", "127.0.0.1:4"}
	case "metrics-listen":
		text = [2]string{"127.0.0.1:5", "127.0.0.1:6"}
	case "path":
		text = [2]string{"/one", "/two"}
	case "callback-url":
		text = [2]string{"http://127.0.0.1:1/", "http://127.0.0.1:2/"}
	case "manifest":
		manifest := "options:\n  websocket:\n    port: 1\n    url: /x\n"
		text = [2]string{WriteTemp(t, "a.yaml", manifest), WriteTemp(t, "b.yaml", manifest)}
	case "callback-ca", "callback-cert", "callback-key":
		text = [2]string{certificate(t), certificate(t)}
	case "admin-token":
		text = [2]string{"the-first-token", "the-second-token"}
	case "admin-token-file", "callback-secret-file":
		text = [2]string{WriteTemp(t, "a", "the-token\n"), WriteTemp(t, "b", "the-token\n")}
	}
	return TwoValues{text, [2]any{text[0], text[1]}}
}

// Levels of precedence, the highest first.
var Levels = []string{"flag", "environment", "file", "default"}

// Place gives option a value at one level.
func Place(t testing.TB, v settings.Value, level, text string, args, env *[]string) {
	t.Helper()
	switch level {
	case "flag":
		*args = append(*args, "--"+v.Name+"="+text)
	case "environment":
		*env = append(*env, settings.EnvName(v.Name)+"="+text)
	case "file":
		yaml := v.Name + ": " + text + "\n"
		if v.IsSlice() {
			yaml = v.Name + ":\n  - " + strings.ReplaceAll(text, ",", "\n  - ") + "\n"
		}
		*args = append(*args, "--config", WriteTemp(t, "gateway.yaml", yaml))
	}
}

// Environment is what a gateway needs to start that does not get in option's
// way.
func Environment(t *testing.T, option string) []string {
	switch option {
	case "no-callback", "callback-url", "manifest", "callback-open", "journal":
		return []string{"WS_PORT=1", "WS_URL=/x"}
	case "cluster":
		return []string{"WS_GATEWAY_NO_CALLBACK=1", "WS_GATEWAY_CLUSTER_APP=chat"}
	case "callback-key":
		return []string{"WS_GATEWAY_NO_CALLBACK=1", "WS_GATEWAY_CALLBACK_CERT=" + certificate(t)}
	}
	return []string{"WS_GATEWAY_NO_CALLBACK=1"}
}
