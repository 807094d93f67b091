package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Value is one option and where it is kept.
type Value struct {
	*kong.Flag
	redact func(items []string) (shown []string, ok bool) // see Set.Redact; may be nil
}

// Source says where a value comes from, in words: "flag",
// "WS_GATEWAY_LISTEN", "gateway.yaml line 3".
type Source string

// Sources that are no name of a variable or a file.
const (
	FromFlag    Source = "flag"
	FromDefault Source = "default"
)

// Masked stands for a secret.
const Masked = "********"

// Secret reports whether the option holds something that nobody may see.
func (v Value) Secret() bool {
	if !v.Tag.Has("secret") || v.Target.IsZero() {
		return false
	}
	shown, ok := v.Redacted()
	return !ok || !slices.Equal(shown, v.Target.Interface().([]string))
}

// Redacted are the items of an option that has a secret, without what is secret in them; ok is
// false if nothing of them may be seen.
func (v Value) Redacted() (items []string, ok bool) {
	if v.redact == nil {
		return nil, false
	}
	return v.redact(v.Target.Interface().([]string))
}

// Reloads reports whether the option can be changed while the process runs.
func (v Value) Reloads() bool { return v.Tag.Has("reload") }

// Changed reports whether the value is another than the default.
func (v Value) Changed() bool {
	switch {
	case v.Default == "":
		return !v.Target.IsZero()
	case v.Target.CanInt():
		return v.Target.Int() != v.bound(v.Default)
	}
	return v.Shown() != v.Default
}

// Shown is the value as text that anybody may see.
func (v Value) Shown() string {
	switch {
	case v.Secret():
		if items, ok := v.Redacted(); ok {
			return strings.Join(items, ",")
		}
		return Masked
	case v.Target.Kind() == reflect.Slice:
		return strings.Join(v.Target.Interface().([]string), ",")
	}
	return fmt.Sprint(v.Target.Interface())
}

// Invalid is the error about an option's value, which must be what want says.
func Invalid(option, value string, from Source, want string) error {
	if from == "" {
		from = FromFlag
	}
	return fmt.Errorf("--%s %q (from %s): must be %s", option, value, from, want)
}
