package settings

import (
	"reflect"
	"strings"
	"testing"
)

func TestTheFileIsReadStrictly(t *testing.T) {
	allowed := []string{"listen", "loops", "no-callback", "subprotocols"}
	for _, test := range []struct {
		yaml string
		want map[string][]string
		err  string
	}{
		{yaml: ""},
		{yaml: "# only a comment\n"},
		{yaml: "---\n"},
		{yaml: "listen: ':1'\nloops: 2\nno-callback: true\n", want: map[string][]string{"listen": {":1"}, "loops": {"2"}, "no-callback": {"true"}}},
		{yaml: "{listen: ':1', loops: 2}", want: map[string][]string{"listen": {":1"}, "loops": {"2"}}},
		{yaml: "subprotocols: [a, b]", want: map[string][]string{"subprotocols": {"a", "b"}}},
		{yaml: "subprotocols:\n- a\n- 'b'\n", want: map[string][]string{"subprotocols": {"a", "b"}}},
		{yaml: "subprotocols: []", want: map[string][]string{"subprotocols": {}}},
		{yaml: "listen:\nloops: 1", want: map[string][]string{"loops": {"1"}}},
		{yaml: "listen: |-\n  :1\n", want: map[string][]string{"listen": {":1"}}},
		{yaml: "loops: 2\n\nlisen: x", err: `:3: unknown key "lisen", did you mean listen?`},
		{yaml: "LISTEN: x", err: `:1: unknown key "LISTEN"`},
		{yaml: "loops: 1\nloops: 2", err: ":2: "},
		{yaml: "listen: {a: 1}", err: ":1: listen: must be a plain value"},
		{yaml: "subprotocols: [[a]]", err: ":1: subprotocols: must be a plain value"},
		{yaml: "listen: &a x\nloops: *a", err: ":1: listen: must be a plain value or a list of plain values\n:2: loops: must be a plain value"},
		{yaml: "lisen: 1\nloops: {}\nlops: 2", err: ":1: unknown key \"lisen\", did you mean listen?\n:2: loops: must be a plain value or a list of plain values\n:3: unknown key \"lops\""},
		{yaml: "- listen", err: ":1: must be a mapping"},
		{yaml: "listen", err: ":1: must be a mapping"},
		{yaml: "loops: 1\n---\nloops: 2", err: ":3: only one YAML document"},
		{yaml: "loops: 1\n  listen: x", err: ":1: mapping value is not allowed"},
		{yaml: "listen: [", err: ":1: "},
	} {
		got, err := parseFile([]byte(test.yaml), allowed)
		if test.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.err) || strings.Count(err.Error(), "\n") != strings.Count(test.err, "\n") {
				t.Errorf("%q: got error %v, want %s", test.yaml, err, test.err)
			}
			continue
		}
		texts := map[string][]string{}
		for key, s := range got {
			texts[key] = s.texts
		}
		if test.want == nil {
			test.want = map[string][]string{}
		}
		if err != nil || !reflect.DeepEqual(texts, test.want) {
			t.Errorf("%q: got %q, %v; want %q", test.yaml, texts, err, test.want)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"listen: ':1'\nloops: 2\n", "a: [b, {c: d}]", "? x\n: y", "&a *a", "--- !!map\n", "a: |\n b", "{{ x }}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		settings, err := parseFile(data, []string{"listen", "loops"})
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Fatal("an error that says nothing")
		}
		for key := range settings {
			if key != "listen" && key != "loops" {
				t.Fatalf("key %q is taken", key)
			}
		}
	})
}
