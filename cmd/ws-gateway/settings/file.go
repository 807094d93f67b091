package settings

import (
	"errors"
	"fmt"
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

// ReadFile reads a file that may set the options allowed, for those who need no more
// than the texts, by option. The error is the first mistake in the file.
func ReadFile(path string, allowed []string) (map[string][]string, error) {
	s := New()
	found := s.readFile(path, allowed)
	if len(s.misnamed) > 0 {
		return nil, s.misnamed[0]
	}
	texts := make(map[string][]string, len(found))
	for option, setting := range found {
		texts[option] = setting.texts
	}
	return texts, nil
}

// readFile reads the file of --config and notes what is wrong with it: a key that is
// not allowed, for example.
func (s *Set) readFile(path string, allowed []string) map[string]setting {
	data, err := textfile.Read(path)
	if err != nil {
		s.blind = true
		s.Stray(fmt.Errorf("--config %q: %w", path, textfile.WithoutPath(err)))
		return nil
	}
	found, err := parseFile(data, allowed)
	base := filepath.Base(path)
	several, ok := err.(interface{ Unwrap() []error })
	if err != nil && !ok {
		s.blind = true
		s.Stray(fmt.Errorf("%s%w", base, err))
	}
	if ok {
		for _, err := range several.Unwrap() {
			about, _ := errors.AsType[*keyError](err)
			s.Misnamed(fmt.Errorf("%s%w", base, err), about.key, allowed)
		}
	}
	return found
}

// keyError is what is wrong with a key of the file.
type keyError struct {
	line int
	key  string
	text string
}

func (e *keyError) Error() string { return fmt.Sprintf(":%d: %s", e.line, e.text) }

// parseFile returns the settings in data. Its errors begin with the position,
// ":<line>: ", or with ": " if there is none. If it understands all of the file but
// some keys, it returns the other settings and the *keyErrors, joined.
func parseFile(data []byte, allowed []string) (map[string]setting, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, YAMLError(err)
	}
	settings := map[string]setting{}
	var errs []error
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			return nil, fmt.Errorf(":%d: only one YAML document is allowed", line(doc.Body))
		default:
			if errs, err = addSettings(settings, doc.Body, allowed); err != nil {
				return nil, err
			}
		}
	}
	return settings, errors.Join(errs...)
}

// addSettings adds the keys of a document. The first errors are about single keys,
// the last one is about the whole document.
func addSettings(settings map[string]setting, body ast.Node, allowed []string) (errs []error, _ error) {
	var pairs []*ast.MappingValueNode
	switch body := body.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, nil
	default:
		return nil, fmt.Errorf(":%d: must be a mapping of option names to values, such as listen: \":40010\"", line(body))
	}
	for _, pair := range pairs {
		key, at := pair.Key.GetToken().Value, line(pair.Key)
		wrong := func(format string, args ...any) {
			errs = append(errs, &keyError{at, key, fmt.Sprintf(format, args...)})
		}
		if !slices.Contains(allowed, key) {
			wrong("unknown key %q%s", key, DidYouMean(key, allowed))
			continue
		}
		if _, twice := settings[key]; twice {
			wrong("key %q is there twice", key)
			continue
		}
		s, err := settingOf(pair.Value)
		if err != nil {
			wrong("%s: %v", key, err)
		}
		if s.line = at; err == nil && s.texts != nil {
			settings[key] = s
		}
	}
	return errs, nil
}

// settingOf takes a scalar or a list of scalars; null counts as no setting.
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

// YAMLError reduces an error of the YAML library, which draws the place, to one line
// that begins as errors of a file do: ":<line>: " or ": ".
func YAMLError(err error) error {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return fmt.Errorf(":%d: %s", syntax.GetToken().Position.Line, syntax.GetMessage())
	}
	return fmt.Errorf(": %w", err)
}
