package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// size is a number of bytes.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads bytes ("512") or whole units of them ("32KiB").
func parseSize(s string) (size, bool) {
	unit := int64(1)
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, false
	}
	return size(int64(n) * unit), true
}

// String writes the size in the largest unit that loses nothing.
func (s size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// valueError is a value that an option cannot hold.
type valueError struct {
	option string
	value  string
	want   string // completes "must be …"
}

func (e *valueError) Error() string {
	return fmt.Sprintf("--%s %q: must be %s", e.option, e.value, e.want)
}

const (
	wantText     = "a value"
	wantBool     = "true or false"
	wantInt      = "a whole number"
	wantSize     = "a size in bytes or with KiB, MiB or GiB, such as 32KiB"
	wantDuration = "a duration such as 500ms, 75s or 1m30s"
)

// mappers make kong read the kinds of options in our syntax. What is no value is
// noted, with what is allowed, and leaves the option as it was.
func mappers(m *mistakes) []kong.Option {
	scalar := func(want string, parse func(string) (any, bool)) kong.MapperFunc { return scalar(m, want, parse) }
	return []kong.Option{
		kong.KindMapper(reflect.Bool, boolMapper{m}),
		kong.KindMapper(reflect.String, scalar(wantText, func(s string) (any, bool) { return s, true })),
		kong.KindMapper(reflect.Int, scalar(wantInt, func(s string) (any, bool) {
			n, err := strconv.Atoi(s)
			return n, err == nil
		})),
		kong.TypeMapper(reflect.TypeFor[size](), scalar(wantSize, func(s string) (any, bool) {
			n, ok := parseSize(s)
			return n, ok
		})),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), scalar(wantDuration, func(s string) (any, bool) {
			d, err := time.ParseDuration(s)
			return d, err == nil
		})),
	}
}

func scalar(m *mistakes, want string, parse func(string) (any, bool)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if !ctx.Scan.Peek().IsValue() {
			m.unfit(ctx.Value.Name, fmt.Errorf("--%s: needs %s", ctx.Value.Name, want))
			return nil
		}
		text := ctx.Scan.Pop().String()
		v, ok := parse(strings.TrimSpace(text))
		if !ok {
			m.unfit(ctx.Value.Name, &valueError{ctx.Value.Name, text, want})
			return nil
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}
}

type boolMapper struct{ *mistakes }

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
		m.unfit(ctx.Value.Name, &valueError{ctx.Value.Name, text, wantBool})
		return nil
	}
	target.SetBool(v)
	return nil
}
