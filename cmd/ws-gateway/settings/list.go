package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// list reads a list: texts with the option's separator between each two, or a list of the
// file; item reads them one by one. An empty one is a mistake, as either a value is missing
// or a separator is too many; if the separator is the end of a line, empty lines are left
// out. An empty text is a list without items, and a blank one a mistake. An option without a separator takes each text
// as it is, and so does an argument.
func (s *Set) list(item kong.MapperFunc) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if !ctx.Scan.Peek().IsValue() {
			s.reject(&valueError{option: ctx.Value.Name, want: WantText, absent: true})
			return nil
		}
		var items []kong.Token
		if ctx.Value.Flag == nil {
			items = ctx.Scan.PopWhile(kong.Token.IsValue)
		} else {
			t := ctx.Scan.Pop()
			texts, listed := t.Value.([]string)
			if !listed {
				if ctx.Value.Tag.Sep != noSeparator && s.rejectBlank(ctx.Value, t.String()) {
					return nil
				}
				texts = split(t.String(), ctx.Value.Tag.Sep)
			}
			if at := slices.IndexFunc(texts, isBlank); at >= 0 && ctx.Value.Tag.Sep != noSeparator {
				s.rejectItem(ctx.Value, texts, at)
				return nil
			}
			for _, text := range texts {
				items = append(items, kong.Token{Value: text, Type: t.Type})
			}
		}
		for _, t := range items {
			value := reflect.New(target.Type().Elem()).Elem()
			if err := item(ctx.WithScanner(kong.ScanFromTokens(t)), value); err != nil {
				return err
			}
			target.Set(reflect.Append(target, value))
		}
		if target.Len() == 0 {
			target.SetZero()
		}
		return nil
	}
}

// noSeparator is what the library has for sep:"none".
const noSeparator = -1

// split divides a text at each separator that has no backslash before it.
func split(text string, separator rune) []string {
	switch {
	case separator == noSeparator:
		return []string{text}
	case text == "":
		return nil
	}
	// The library leaves out an empty last item: so none is empty.
	const mark = "x"
	items := kong.SplitEscaped(text+mark, separator)
	last := len(items) - 1
	items[last] = strings.TrimSuffix(items[last], mark)
	if separator == '\n' {
		items = slices.DeleteFunc(items, isBlank)
	}
	return items
}

func isBlank(text string) bool { return strings.TrimSpace(text) == "" }

// rejectItem notes that one of the texts is empty.
func (s *Set) rejectItem(v *kong.Value, texts []string, at int) {
	shown := strings.Join(texts, ",")
	if v.Tag.Has("secret") {
		shown = Masked
		if redact := s.Redact[v.Name]; redact != nil {
			if items, ok := redact(texts); ok {
				shown = strings.Join(items, ",")
			}
		}
	}
	s.reject(&valueError{option: v.Name, value: shown, want: fmt.Sprintf("a list without empty items: item %d of %d is empty", at+1, len(texts))})
}
