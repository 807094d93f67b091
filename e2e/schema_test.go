package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ws-gateway/e2e/harness"
)

// configSchema is what the program prints, compiled: so it is a JSON Schema itself.
func configSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	code, stdout, stderr := launch{args: []string{"config", "schema"}}.runToEnd(t)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("gateway.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("gateway.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate is what an editor finds in a file.
func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// judged is what the gateway itself says of a file.
func judged(t *testing.T, text string) (code int, said string) {
	t.Helper()
	code, stdout, stderr := launch{args: []string{"--no-callback", "--print-config", "--config", harness.WriteFile(t, "gateway.yaml", text)}}.runToEnd(t)
	return code, stdout + stderr
}

func TestTheShippedConfigurationNamesTheSchemaAndIsValid(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	content, err := os.ReadFile(filepath.Join("..", "deploy", "package", "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(content), "# yaml-language-server: $schema=/usr/share/ws-gateway/gateway.schema.json\n") {
		t.Error("it does not name its schema in the first line")
	}
	var all strings.Builder // and what is a comment, as somebody would have it who uses it
	options := 0
	for line := range strings.Lines(string(content)) {
		if bare, commented := strings.CutPrefix(line, "#"); commented && !strings.HasPrefix(bare, " ") && strings.Contains(bare, ": ") {
			line = bare
		}
		if !strings.HasPrefix(line, "#") && strings.Contains(line, ": ") {
			options++
		}
		all.WriteString(line)
	}
	for _, text := range []string{string(content), all.String()} {
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if options < 5 {
		t.Errorf("only %d options were found in it", options)
	}
}

func TestWhatPrintConfigPrintsIsValid(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	for _, args := range [][]string{
		{"--no-callback"},
		{"--callback-url=http://127.0.0.1:1/", "--allowed-origins=https://a.example,https://b.example", "--max-connections=7", "--ping-timeout=1m30s", "--compression", "--rate-policy=close", "--max-meta=1KiB"},
	} {
		code, printed, stderr := launch{args: append(args, "--print-config")}.runToEnd(t)
		if code != 0 {
			t.Fatal(stderr)
		}
		if err := validate(t, schema, printed); err != nil {
			t.Errorf("%v\n%s", err, printed)
		}
	}
}

func TestTheSchemaFindsMistakesThatTheGatewayRefuses(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	for text, found := range map[string]string{
		"no-such-option: 1":                      "'no-such-option' not allowed",
		"max_connections: 1":                     "'max_connections' not allowed",
		"max-connections: many":                  "at '/max-connections': got string, want",
		"max-connections: -1":                    "at '/max-connections': minimum",
		"max-groups-per-connection: 1001":        "at '/max-groups-per-connection': maximum",
		"callback-json-depth: 2":                 "at '/callback-json-depth': minimum",
		"compression: maybe":                     "at '/compression': got string, want",
		"keepalive: pong":                        "at '/keepalive': value must be one of 'ping', 'any'",
		"ping-timeout: 75":                       "at '/ping-timeout': maximum",
		"ping-timeout: 75 seconds":               "at '/ping-timeout': '75 seconds' does not match",
		"ping-timeout: -75s":                     "at '/ping-timeout': '-75s' does not match",
		"max-message-size: 2MB":                  "at '/max-message-size': '2MB' does not match",
		"max-message-size: 1.5MiB":               "at '/max-message-size': '1.5MiB' does not match",
		"max-message-size: 2147483648":           "at '/max-message-size': maximum",
		"max-meta: 1025":                         "at '/max-meta': maximum",
		"listen: {port: 40010}":                  "at '/listen': got object, want",
		"allowed-origins: {a: b}":                "at '/allowed-origins': got object, want",
		"allowed-origins: [[https://a.example]]": "at '/allowed-origins/0': got array, want",
		"- listen":                               "got array, want",
	} {
		if err := validate(t, schema, text); err == nil || !strings.Contains(err.Error(), found) {
			t.Errorf("%s: %v, want %s", text, err, found)
		}
		if code, said := judged(t, text); code != exitUsage {
			t.Errorf("%s: the gateway says %d %s", text, code, said)
		}
	}
}

func TestWhatTheSchemaTakesTheGatewayTakes(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	for _, text := range []string{
		"listen:", "listen: \":40011\"", "max-connections: 100", "max-connections:", "compression: true",
		"ping-timeout: 1m30s", "ping-timeout: 1.5h", "drain-delay: 0", "max-message-size: 1048576", "max-message-size: 2MiB", "max-message-size: \"2 MiB\"",
		"keepalive: any", "keepalive:", "allowed-origins: https://a.example", "allowed-origins: [https://a.example, \"null\"]", "allowed-origins: []",
		"trusted-proxies:\n- 10.0.0.0/8\n- ::1",
	} {
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if code, said := judged(t, text); code != 0 {
			t.Errorf("%s: the gateway says %d %s", text, code, said)
		}
	}
}
