package described

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer is an answer of the management API before its body has come.
type answer struct {
	schema string // of its body, or of each line of it; "": none
	plain  bool   // its body is no JSON
	lines  bool
	bare   bool // it has no body
}

// head says whether an answer's status, headers and content type are described. There is
// nothing to check if known is false: the path is not one of the management API, or not at
// this address.
func head(method, path string, status int, header http.Header) (a answer, known bool, err error) {
	d := openAPI()
	route := routeOf(d, path)
	if route == "" {
		return a, false, nil
	}
	of := strings.ToLower(method)
	if method == http.MethodHead {
		of = "get"
	}
	item, _ := d.at("paths", route)
	if _, ok := item[of].(object); !ok {
		if status < 400 {
			return a, true, fmt.Errorf("the method is not described, and the status is %d", status)
		}
		for name := range maps.Keys(item) { // refused as a request by the right method could be
			of = name
		}
	}
	response, at := d.at("paths", route, of, "responses", strconv.Itoa(status))
	if response == nil && status == http.StatusNotFound {
		return a, false, nil
	}
	if response == nil {
		return a, true, fmt.Errorf("status %d is not described", status)
	}
	if err := d.checkHeaders(response, at, header); err != nil {
		return a, true, err
	}
	contentType := header.Get("Content-Type")
	a.schema, err = d.contentOf(response, at, contentType)
	a.plain = !strings.Contains(contentType, "json")
	a.lines = strings.Contains(contentType, "ndjson")
	a.bare = method == http.MethodHead
	return a, true, err
}

// routeOf finds the path of the document that a request's path stands for; "" if there is
// none.
func routeOf(d *document, path string) string {
	path = strings.ToLower(path)
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	switch {
	case path == "/console", strings.HasPrefix(path, "/console/"):
		return "/console/"
	case strings.HasPrefix(path, "/debug/pprof/"):
		return "/debug/pprof/{profile}"
	}
	if item, _ := d.at("paths", path); item != nil {
		return path
	}
	return ""
}

// checkHeaders checks the values of the headers that are described. There may be others:
// those of HTTP itself.
func (d *document) checkHeaders(response object, at string, header http.Header) error {
	described, _ := response["headers"].(object)
	for _, name := range slices.Sorted(maps.Keys(described)) {
		values := header.Values(name)
		owner, where := d.below(at, "headers", name)
		if len(values) == 0 && owner["required"] == true {
			return fmt.Errorf("header %s is missing", name)
		}
		for _, value := range values {
			if err := d.checkValue(where+"/schema", value); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	return nil
}

// below walks on from a pointer.
func (d *document) below(pointer string, path ...string) (object, string) {
	var names []string
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		names = append(names, unescape.Replace(name))
	}
	return d.at(append(names, path...)...)
}

// body checks an answer's body, or a line of it.
func (a answer) body(status int, body []byte) error {
	switch {
	case a.bare && len(body) > 0:
		return fmt.Errorf("an answer to HEAD has a body")
	case a.bare, a.plain, a.schema == "":
		return nil
	}
	if err := openAPI().check(a.schema, body); err != nil {
		return err
	}
	if a.lines || status == http.StatusOK {
		return nil
	}
	var said struct{ Code int }
	if err := json.Unmarshal(body, &said); err != nil || said.Code != status {
		return fmt.Errorf("the code %d beside status %d", said.Code, status)
	}
	return nil
}

// Answer says what of an answer of the management API is not as docs/openapi.yaml
// describes it. Answers at other paths are none of it.
func Answer(method, path string, status int, header http.Header, body []byte) error {
	a, known, err := head(method, path, status, header)
	if !known || err != nil {
		return err
	}
	if !a.lines {
		return a.body(status, body)
	}
	for line := range bytes.Lines(body) {
		if err := a.body(status, line); err != nil {
			return err
		}
	}
	return nil
}
