package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schema describes the file with these options as a JSON Schema, of draft 7, which is what
// editors know. It is as strict as the file, but for two things: it wants text that looks
// like a number in quotes, and it does not compare sizes and durations that have units with
// their bounds, which it only tells.
func Schema(title string, values []Value) ([]byte, error) {
	properties := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			properties = append(properties, ',')
		}
		properties = append(strconv.AppendQuote(properties, v.Name), ':')
		var err error
		if properties, err = appendJSON(properties, propertyOf(v)); err != nil {
			return nil, err
		}
	}
	raw, err := appendJSON(nil, struct {
		Schema     string          `json:"$schema"`
		Title      string          `json:"title"`
		Type       []string        `json:"type"`
		Further    bool            `json:"additionalProperties"`
		Properties json.RawMessage `json:"properties"`
	}{"http://json-schema.org/draft-07/schema#", title, []string{"object", "null"}, false, append(properties, '}')})
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, raw, "", "  ")
	indented.WriteByte('\n')
	return indented.Bytes(), err
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), err
}

// property is what a schema says of an option. Any of them may be empty in the file, which
// is as if it were not there.
type property struct {
	Description string    `json:"description,omitempty"`
	Type        []string  `json:"type,omitempty"`
	Enum        []any     `json:"enum,omitempty"`
	Pattern     string    `json:"pattern,omitempty"` // of the text, if it is text
	Minimum     *int64    `json:"minimum,omitempty"` // of the number, if it is one
	Maximum     *int64    `json:"maximum,omitempty"`
	Items       *property `json:"items,omitempty"`
	WriteOnly   bool      `json:"writeOnly,omitempty"`
	Default     any       `json:"default,omitempty"`
	Examples    []any     `json:"examples,omitempty"`
}

// What values with units look like.
const (
	sizePattern     = `^ *[0-9]+ *([KMGT]iB)? *$`
	durationPattern = `^ *[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+) *$`
)

func propertyOf(v Value) *property {
	p := &property{Description: describe(v), WriteOnly: v.Tag.Has("secret")}
	fallback := v.Default
	switch v.Target.Interface().(type) {
	case bool:
		p.Type = []string{"boolean", "null"}
		p.Default = fallback == "true"
	case int:
		p.Type = []string{"integer", "null"}
		p.Minimum, p.Maximum = v.numbers()
		if n, err := strconv.Atoi(fallback); err == nil {
			p.Default = n
		}
	case Size:
		p.Type, p.Pattern = []string{"string", "integer", "null"}, sizePattern
		p.Minimum, p.Maximum = v.numbers()
		p.Examples = []any{"512KiB", "16MiB"}
		p.Default = textDefault(fallback)
	case time.Duration:
		zero := int64(0) // the only number that is a duration
		p.Type, p.Pattern = []string{"string", "integer", "null"}, durationPattern
		p.Minimum, p.Maximum = &zero, &zero
		p.Examples = []any{"500ms", "75s", "1m30s"}
		p.Default = textDefault(fallback)
	case []string:
		item := &property{Type: []string{"string"}}
		if item.Enum = v.choices(); item.Enum == nil { // else a text with commas would have to be one of them
			p.Type = []string{"array", "string", "null"}
		} else {
			p.Type, item.Type = []string{"array", "null"}, nil
		}
		p.Items = item
	default:
		if p.Enum = v.choices(); p.Enum != nil {
			p.Enum = append(p.Enum, nil)
		} else {
			p.Type = []string{"string", "null"}
		}
		p.Default = textDefault(fallback)
	}
	return p
}

// textDefault is a default that is text, nil for none.
func textDefault(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// describe is the option's help, with what the schema cannot check.
func describe(v Value) string {
	text := v.Help
	least, most := v.Tag.Get("min"), v.Tag.Get("max")
	switch {
	case least != "" && most != "":
		text += fmt.Sprintf(" From %s to %s.", least, most)
	case least != "":
		text += fmt.Sprintf(" At least %s.", least)
	case most != "":
		text += fmt.Sprintf(" At most %s.", most)
	}
	if v.Reloads() {
		return text + " A reload (SIGHUP) takes it over."
	}
	return text + " It needs a restart."
}

// numbers are the bounds of a value that is written as a number.
func (v Value) numbers() (least, most *int64) {
	bound := func(tag string) *int64 {
		text := v.Tag.Get(tag)
		if text == "" {
			return nil
		}
		n := v.bound(text)
		return &n
	}
	return bound("min"), bound("max")
}

// choices are the values that an option may have; nil: any.
func (v Value) choices() (all []any) {
	for choice := range strings.SplitSeq(v.Tag.Get("oneof"), ",") {
		if choice != "" {
			all = append(all, choice)
		}
	}
	return all
}
