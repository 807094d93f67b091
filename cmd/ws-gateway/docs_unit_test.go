package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestTheDocsHaveTheTableOfOptions(t *testing.T) {
	var table strings.Builder
	group := ""
	for _, v := range mustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1").values {
		if v.Group.Title != group {
			group = v.Group.Title
			fmt.Fprintf(&table, "\n## %s\n\n| option | default | | bounds |\n|---|---|---|---|\n", strings.TrimSuffix(group, ":"))
		}
		table.WriteString(strings.TrimSuffix(optionRow(v), "\n") + " " + boundsOf(v) + " |\n")
	}
	checkSection(t, "../../docs/configuration.md", "options", table.String()+"\n")
}

// boundsOf says what an option may be.
func boundsOf(v value) string {
	least, most := v.Tag.Get("min"), v.Tag.Get("max")
	switch {
	case v.Tag.Get("oneof") != "":
		return "`" + strings.ReplaceAll(v.Tag.Get("oneof"), ",", "` `") + "`"
	case least != "" && most != "":
		return least + " to " + most
	case least != "":
		return "from " + least
	}
	return ""
}

func TestTheDocsHaveTheCommands(t *testing.T) {
	content, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for field := range reflect.TypeFor[commandLine]().Fields() {
		if _, found := field.Tag.Lookup("cmd"); !found || field.Tag.Get("default") != "" {
			continue
		}
		commands++
		if name := strings.ToLower(field.Name); !strings.Contains(string(content), "| `ws-gateway "+name) {
			t.Errorf("docs/configuration.md says nothing of ws-gateway %s", name)
		}
	}
	if commands < 4 {
		t.Errorf("%d commands were found", commands)
	}
}

func TestTheDocsHaveTheTableOfMetrics(t *testing.T) {
	p := start(t, "--listen=127.0.0.1:0", "--callback-url=http://127.0.0.1:"+freePort(t)+"/", "--drain-period=0s")
	address := p.log.await(t, "ready")["listen"].(string)
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| metric | type | |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !strings.HasPrefix(name, "ws_gateway_") {
			continue
		}
		family := families[name]
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, strings.ToLower(family.GetType().String()), family.GetHelp()+labelsOf(family))
	}
	checkSection(t, "../../docs/operations.md", "metrics", table.String()+"\n")
	p.signals <- os.Interrupt
	p.wait(t)
}

// labelsOf names a family's labels and their values.
func labelsOf(family *dto.MetricFamily) (text string) {
	values := map[string][]string{}
	var names []string
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			name, v := label.GetName(), label.GetValue()
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !slices.Contains(values[name], v) {
				values[name] = append(values[name], v)
			}
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "version") {
			text += fmt.Sprintf(" `%s`.", name)
			continue
		}
		slices.Sort(values[name])
		text += fmt.Sprintf(" `%s`: %s.", name, strings.Join(values[name], ", "))
	}
	return text
}
