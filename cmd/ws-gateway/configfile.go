package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
)

// setting is one key of the file.
type setting struct {
	texts []string // one, or the items of a list
	list  bool
	line  int
}

// readConfigFile reads the file of --config. allowed are the options' names; any
// other key is an error.
func readConfigFile(path string, allowed []string) (map[string]setting, error) {
	data, err := textfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("--config %q: %w", path, withoutPath(err))
	}
	settings, err := parseConfigFile(data, allowed)
	if err != nil {
		return nil, fmt.Errorf("%s%w", filepath.Base(path), err)
	}
	return settings, nil
}

// parseConfigFile returns the settings in data. Its errors begin with the
// position, ":<line>: ", or with ": " where there is none.
func parseConfigFile(data []byte, allowed []string) (map[string]setting, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	settings := map[string]setting{}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			return nil, fmt.Errorf(":%d: only one YAML document is allowed", line(doc.Body))
		default:
			if err := addSettings(settings, doc.Body, allowed); err != nil {
				return nil, err
			}
		}
	}
	return settings, nil
}

func addSettings(settings map[string]setting, body ast.Node, allowed []string) error {
	var pairs []*ast.MappingValueNode
	switch body := body.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil
	default:
		return fmt.Errorf(":%d: must be a mapping of option names to values, such as listen: \":40010\"", line(body))
	}
	for _, pair := range pairs {
		key, at := pair.Key.GetToken().Value, line(pair.Key)
		if !slices.Contains(allowed, key) {
			return fmt.Errorf(":%d: unknown key %q%s", at, key, didYouMean(key, allowed))
		}
		if _, twice := settings[key]; twice {
			return fmt.Errorf(":%d: key %q is there twice", at, key)
		}
		s, err := settingOf(pair.Value)
		if err != nil {
			return fmt.Errorf(":%d: %s: %w", at, key, err)
		}
		if s.line = at; s.texts != nil {
			settings[key] = s
		}
	}
	return nil
}

// settingOf takes a scalar or a list of scalars; null is the same as no setting.
func settingOf(node ast.Node) (setting, error) {
	if seq, ok := node.(*ast.SequenceNode); ok {
		s := setting{texts: []string{}, list: true}
		for _, item := range seq.Values {
			text, err := scalarText(item)
			if err != nil {
				return setting{}, err
			}
			s.texts = append(s.texts, text)
		}
		return s, nil
	}
	if _, null := node.(*ast.NullNode); null {
		return setting{}, nil
	}
	text, err := scalarText(node)
	return setting{texts: []string{text}}, err
}

var errNotScalar = errors.New("must be a plain value or a list of plain values")

// scalarText returns a scalar as it was written, quotes removed.
func scalarText(node ast.Node) (string, error) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, nil
	case *ast.LiteralNode:
		return node.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return node.GetToken().Value, nil
	}
	return "", errNotScalar
}

func line(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// yamlError reduces the library's picture of the place to one line.
func yamlError(err error) error {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return fmt.Errorf(":%d: %s", syntax.GetToken().Position.Line, syntax.GetMessage())
	}
	return fmt.Errorf(": %w", err)
}

// withoutPath drops the path from an error that will be shown beside it.
func withoutPath(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
