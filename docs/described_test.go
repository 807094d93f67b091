package docs_test

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ws-gateway/docs"
	"ws-gateway/e2e/described"
)

var called = regexp.MustCompile(`^curl (-i )?.*?\bhttp://[^/' ]+(/[^' ]*)`)

// describedAnswer holds what a curl of the management API prints against openapi.yaml.
func describedAnswer(command, printed string) error {
	m := called.FindStringSubmatch(command)
	if m == nil {
		return nil
	}
	target, err := url.Parse(m[2])
	if err != nil {
		return err
	}
	method := http.MethodGet
	if strings.Contains(command, " -d ") {
		method = http.MethodPost
	}
	if m[1] != "" {
		response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(printed)), nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		return described.Answer(method, target.EscapedPath(), response.StatusCode, response.Header, body)
	}
	if !strings.HasPrefix(printed, "{") {
		return nil // text
	}
	status := http.StatusOK // what is refused has its status as its code too, and there is no such code beside 200
	for _, refused := range []struct {
		code   string
		status int
	}{{`"code":403`, http.StatusForbidden}, {`"code":404,"message":"no such route"`, http.StatusNotFound}, {`"code":405`, http.StatusMethodNotAllowed}} {
		if strings.Contains(printed, refused.code) {
			status = refused.status
		}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return described.Answer(method, target.EscapedPath(), status, header, []byte(strings.TrimSpace(printed)))
}

// describedCallback holds a callback, as it came, against openapi.yaml.
func describedCallback(raw string) error {
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	return described.Callback(request.Header, body)
}

// describedCallbackAnswer holds an example of an app's answer against openapi.yaml.
func describedCallbackAnswer(raw string) error {
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return described.CallbackAnswer(response.StatusCode, response.Header, body)
}

// The table in protocol.md is held against the program elsewhere.
func TestTheRoutesThatProtocolListsAreThoseOfTheDescription(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "protocol.md"), "\n| route | |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, m := range regexp.MustCompile("`(GET|POST) (/[^`]+)`").FindAllStringSubmatch(table, -1) {
		want = append(want, strings.ToLower(m[1])+" "+strings.Replace(m[2], "…", "{profile}", 1))
	}
	var description struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(docs.OpenAPI, &description); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range description.Paths {
		for method := range maps.Keys(methods) {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(got) < 10 || !slices.Equal(got, want) {
		t.Errorf("openapi.yaml has\n%q\nand protocol.md\n%q", got, want)
	}
}
