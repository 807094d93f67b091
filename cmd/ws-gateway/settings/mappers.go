package settings

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// valueError is a text that an option cannot hold.
type valueError struct {
	option string
	value  string
	want   string // completes "must be …"
	absent bool   // there is no text
}

func (e *valueError) Error() string {
	if e.absent {
		return fmt.Sprintf("--%s: needs %s", e.option, e.want)
	}
	return fmt.Sprintf("--%s %q: must be %s", e.option, e.value, e.want)
}

// explain is the error about a text, with where it came from.
func (s *Set) explain(err *valueError) error {
	if err.absent {
		return err
	}
	return Invalid(err.option, err.value, s.Sources[err.option], err.want)
}

// WantText says what an option for text needs.
const WantText = "a value"

const (
	wantBool     = "true or false"
	wantInt      = "a whole number"
	wantSize     = "a size in bytes or with KiB, MiB or GiB, such as 32KiB"
	wantDuration = "a duration such as 500ms, 75s or 1m30s"
)

// Mappers make kong read the kinds of options in our syntax. A text that is no
// value of its option is noted in the set and leaves the option as it was. text reads
// what is text, and each item of a list; nil: as it is, without the blanks around it.
func (s *Set) Mappers(text kong.MapperFunc) []kong.Option {
	if text == nil {
		text = s.scalar(WantText, func(text string) (any, bool) { return text, true })
	}
	return []kong.Option{
		kong.KindMapper(reflect.Bool, boolMapper{s}),
		kong.KindMapper(reflect.String, text),
		kong.TypeMapper(reflect.TypeFor[[]string](), s.list(text)),
		kong.KindMapper(reflect.Int, s.scalar(wantInt, func(text string) (any, bool) {
			n, err := strconv.Atoi(text)
			return n, err == nil
		})),
		kong.TypeMapper(reflect.TypeFor[Size](), s.scalar(wantSize, func(text string) (any, bool) {
			n, ok := ParseSize(text)
			return n, ok
		})),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), s.scalar(wantDuration, func(text string) (any, bool) {
			d, err := time.ParseDuration(text)
			return d, err == nil
		})),
	}
}

func (s *Set) scalar(want string, parse func(string) (any, bool)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if !ctx.Scan.Peek().IsValue() {
			s.reject(&valueError{option: ctx.Value.Name, want: want, absent: true})
			return nil
		}
		text := ctx.Scan.Pop().String()
		if s.rejectBlank(ctx.Value, text) {
			return nil
		}
		v, ok := parse(strings.TrimSpace(text))
		if !ok {
			s.reject(&valueError{option: ctx.Value.Name, value: text, want: want})
			return nil
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}
}

// rejectBlank notes that a text is all blank: a value is missing then, and without it the option
// would be as if it had not been given. An empty text says that it is not.
func (s *Set) rejectBlank(v *kong.Value, text string) bool {
	if v.Flag == nil || text == "" || !isBlank(text) {
		return false
	}
	s.reject(&valueError{option: v.Name, value: text, want: "a value, or left out: it is blank"})
	return true
}

type boolMapper struct{ set *Set }

// IsBool lets the flag stand without a value.
func (boolMapper) IsBool() bool { return true }

func (m boolMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	text := ctx.Scan.Pop().String()
	v, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(text)))
	if err != nil {
		m.set.reject(&valueError{option: ctx.Value.Name, value: text, want: wantBool})
		return nil
	}
	target.SetBool(v)
	return nil
}
