package e2e_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ws-gateway/docs"
)

// Whatever another test asks is held against the descriptions too (harness, app.record).

func TestTheParametersOfEachRouteAreThoseThatAreDescribed(t *testing.T) {
	t.Parallel()
	var description struct {
		Paths      map[string]map[string]struct{ Parameters []parameter }
		Components struct{ Parameters map[string]parameter }
	}
	if err := yaml.Unmarshal(docs.OpenAPI, &description); err != nil {
		t.Fatal(err)
	}
	g := startPushOnly(t)
	known := regexp.MustCompile(`this route takes ([a-z_, -]+)`)
	asked := 0
	for path, methods := range description.Paths {
		get, ok := methods["get"]
		if !ok || !strings.HasPrefix(path, "/tapr/") {
			continue
		}
		asked++
		var described []string
		for _, p := range get.Parameters {
			if p.Ref != "" {
				p = description.Components.Parameters[p.Ref[strings.LastIndexByte(p.Ref, '/')+1:]]
			}
			described = append(described, p.Name)
		}
		a := g.request(http.MethodGet, path+"?nobody=1", "")
		m := known.FindStringSubmatch(a.body)
		if m == nil {
			t.Errorf("%s: %s", path, a.body)
			continue
		}
		takes := slices.DeleteFunc(strings.FieldsFunc(m[1], func(r rune) bool { return r == ' ' || r == ',' }), func(word string) bool {
			return word == "and" || word == "alone" || word == "none"
		})
		slices.Sort(takes)
		slices.Sort(described)
		if !slices.Equal(takes, described) {
			t.Errorf("%s takes %q, and %q are described", path, takes, described)
		}
	}
	if asked < 7 {
		t.Errorf("only %d routes are found in %q", asked, slices.Collect(maps.Keys(description.Paths)))
	}
}

type parameter struct {
	Name string
	Ref  string `yaml:"$ref"`
}

func TestTheDescribedPingsAreAnsweredWithTheDescribedPong(t *testing.T) {
	t.Parallel()
	var description struct {
		Components struct {
			Messages map[string]struct {
				Examples []struct{ Payload yaml.RawMessage }
			}
		}
	}
	if err := yaml.Unmarshal(docs.AsyncAPI, &description); err != nil {
		t.Fatal(err)
	}
	example := func(message string) (texts []string) {
		for _, e := range description.Components.Messages[message].Examples {
			text, err := yaml.YAMLToJSON(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, strings.ReplaceAll(strings.TrimSpace(string(text)), ": ", ":"))
		}
		return texts
	}
	pings, pongs := example("ping"), example("pong")
	if len(pings) < 2 || len(pongs) != 1 {
		t.Fatalf("%q, %q", pings, pongs)
	}
	c := startPushOnly(t).Dial(t, "alice")
	for _, ping := range pings {
		c.Send(ping)
		c.Receive(pongs[0])
	}
}

func TestTheConsoleShowsTheDescriptions(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	page := g.get("/console/").body
	for name, want := range map[string][]byte{"openapi.yaml": docs.OpenAPI, "asyncapi.yaml": docs.AsyncAPI} {
		a := g.get("/console/" + name)
		if a.status != http.StatusOK || a.body != string(want) || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %v %.100s", name, a.status, a.header, a.body)
		}
		if !strings.Contains(page, `href="`+name+`"`) {
			t.Errorf("the page has no link to %s", name)
		}
	}
}
