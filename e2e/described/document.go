// Package described holds what goes over the wire against the descriptions in docs/:
// answers of the management API and callbacks against openapi.yaml, close frames against
// asyncapi.yaml. What is not described is an error: a status, a content type, a member.
//
//	document.go  a description, and the schemas in it
//	answer.go    answers of the management API
//	transport.go the same for all answers that an HTTP client gets
//	callback.go  callbacks, and how the app answers them
//
// It imports docs. Only tests import it: package jsonschema is for tests alone.
package described

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ws-gateway/docs"
)

// object is a JSON object, as the documents consist of.
type object = map[string]any

// document is a description. The schemas in it are compiled when they are first needed.
type document struct {
	root object

	mu       sync.Mutex // guards what follows
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

var (
	openAPI  = sync.OnceValue(func() *document { return mustParse(docs.OpenAPI) })
	asyncAPI = sync.OnceValue(func() *document { return mustParse(docs.AsyncAPI) })
)

func mustParse(text []byte) *document {
	d, err := parse(text)
	if err != nil {
		panic("a description cannot be read: " + err.Error())
	}
	return d
}

// base is the name of a document within the compiler.
const base = "https://description.example/"

func parse(text []byte) (*document, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, err
	}
	top, ok := root.(object)
	if !ok {
		return nil, fmt.Errorf("the document is no object")
	}
	seal(top)
	d := &document{root: top, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	return d, d.compiler.AddResource(base, top)
}

// seal lets the schemas that list an object's members allow no others, so that what is
// not described is found. Readers of the document are not told that: members may be
// added.
func seal(node any) {
	switch node := node.(type) {
	case object:
		_, lists := node["properties"].(object)
		if _, said := node["additionalProperties"]; lists && !said {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			seal(child)
		}
	case []any:
		for _, child := range node {
			seal(child)
		}
	}
}

// escape and unescape are what a name within a JSON pointer needs (RFC 6901).
var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// at walks down the document, and follows references. It returns where it has got to.
func (d *document) at(path ...string) (node object, pointer string) {
	node = d.root
	for _, name := range path {
		next, ok := node[name].(object)
		if !ok {
			return nil, ""
		}
		pointer += "/" + escape.Replace(name)
		if to, ok := next["$ref"].(string); ok {
			pointer = strings.TrimPrefix(to, "#")
			next = d.pointed(pointer)
		}
		node = next
	}
	return node, pointer
}

// pointed is what a pointer within the document points to.
func (d *document) pointed(pointer string) object {
	node := d.root
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		node, _ = node[unescape.Replace(name)].(object)
	}
	return node
}

// check holds JSON against the schema to which a pointer points.
func (d *document) check(pointer string, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return d.checkValue(pointer, value)
}

func (d *document) checkValue(pointer string, value any) error {
	schema, err := d.schema(pointer)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (d *document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if schema := d.compiled[pointer]; schema != nil {
		return schema, nil
	}
	schema, err := d.compiler.Compile(base + "#" + (&url.URL{Path: pointer}).EscapedPath())
	d.compiled[pointer] = schema
	return schema, err
}

// contentOf returns where the schema of a content type is: that of the type itself, or
// of */*. There may be none, which takes anything.
func (d *document) contentOf(owner object, pointer, contentType string) (schema string, err error) {
	content, ok := owner["content"].(object)
	if !ok {
		return "", nil
	}
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return "", fmt.Errorf("content type %q: %w", contentType, err)
	}
	for _, key := range []string{name, "*/*"} {
		if of, there := content[key].(object); there {
			if _, has := of["schema"]; !has {
				return "", nil
			}
			return pointer + "/content/" + strings.ReplaceAll(key, "/", "~1") + "/schema", nil
		}
	}
	return "", fmt.Errorf("content type %q is not described", contentType)
}
