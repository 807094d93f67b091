package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/settings"
)

func TestTheSchemaHasEveryOptionAsTheTableSaysAndTakesItsValues(t *testing.T) {
	values := configtest.MustParse(t, []string{"--no-callback"}).Values
	text, err := settings.Schema("options", values)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Properties map[string]struct {
			Description string
			Default     any
			Enum        []any
			WriteOnly   bool
		}
	}
	if err := json.Unmarshal(text, &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Properties) != len(values) {
		t.Errorf("%d properties for %d options", len(listed.Properties), len(values))
	}
	for _, v := range values {
		p, ok := listed.Properties[v.Name]
		if !ok || !strings.HasPrefix(p.Description, v.Help) || p.WriteOnly != v.Tag.Has("secret") {
			t.Errorf("%s: %+v", v.Name, p)
		}
		if oneof := v.Tag.Get("oneof"); oneof != "" && len(p.Enum) != strings.Count(oneof, ",")+2 {
			t.Errorf("%s may be %v", v.Name, p.Enum)
		}
		two := configtest.ValuesFor(t, v).Text
		for _, value := range []string{two[0], two[1], v.Default} {
			if v.Target.Kind().String() == "string" || v.Target.Kind().String() == "slice" {
				quoted, _ := json.Marshal(value)
				value = string(quoted)
			}
			line := v.Name + ": " + value
			asJSON, err := yaml.YAMLToJSON([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			one, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(one); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}
