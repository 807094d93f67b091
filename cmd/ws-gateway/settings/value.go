package settings

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Value is one option and where it is kept.
type Value struct {
	*kong.Flag
}

// Source says where a value comes from, in words: "flag",
// "WS_GATEWAY_LISTEN", "gateway.yaml line 3".
type Source string

// Sources that are no name of a variable or a file.
const (
	FromFlag    Source = "flag"
	FromDefault Source = "default"
)

// Options returns the flags that can have a place in the environment and the file:
// those in a group, unless it is the group of flags that choose what to do.
func Options(flags []*kong.Flag) (values []Value) {
	for _, f := range flags {
		if isOption(f) {
			values = append(values, Value{f})
		}
	}
	return values
}

func isOption(f *kong.Flag) bool { return f.Group != nil && f.Group.Key != "actions" }

// Names returns the names of values.
func Names(values []Value) (names []string) {
	for _, v := range values {
		names = append(names, v.Name)
	}
	return names
}

// Given returns the flags that the command line has, up to its first error. trace is
// kong.Trace's: what kong parses has the flags of resolvers, too.
func Given(trace *kong.Context) map[string]bool {
	given := map[string]bool{}
	for _, p := range trace.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	return given
}

// Command returns the command of that name below root; nil if there is none.
func Command(root *kong.Node, name string) *kong.Node {
	for _, child := range root.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// Masked stands for a secret.
const Masked = "********"

// Secret reports whether the option holds something that nobody may see.
func (v Value) Secret() bool { return v.Tag.Has("secret") && !v.Target.IsZero() }

// Reloads reports whether the option can be changed while the process runs.
func (v Value) Reloads() bool { return v.Tag.Has("reload") }

// Shown is the value as text that anybody may see.
func (v Value) Shown() string {
	switch {
	case v.Secret():
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

// CheckTags checks each value against the tags min, max and oneof of its option.
func (s *Set) CheckTags() error {
	var errs []error
	for _, v := range s.Values {
		if s.Doubted(v.Name) {
			continue // the value is not the one that was meant
		}
		errs = append(errs, s.checkChoice(v), s.checkBounds(v))
	}
	return errors.Join(errs...)
}

func (s *Set) checkChoice(v Value) error {
	oneof := v.Tag.Get("oneof")
	if oneof == "" {
		return nil
	}
	allowed := strings.Split(oneof, ",")
	list, isList := v.Target.Interface().([]string)
	for _, item := range list {
		if !slices.Contains(allowed, item) {
			return Invalid(v.Name, item, s.From(v.Name), strings.Join(allowed, " or "))
		}
	}
	if !isList && !slices.Contains(allowed, v.Target.String()) {
		return s.Reject(v.Name, strings.Join(allowed, " or "))
	}
	return nil
}

func (s *Set) checkBounds(v Value) error {
	least, most := v.Tag.Get("min"), v.Tag.Get("max")
	switch {
	case least != "" && v.Target.Int() < v.bound(least):
		return s.Reject(v.Name, "at least "+least)
	case most != "" && v.Target.Int() > v.bound(most):
		return s.Reject(v.Name, "at most "+most)
	}
	return nil
}

// bound reads a bound, which is written like a value of the option.
func (v Value) bound(text string) int64 {
	if v.Target.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("BUG: bound of " + v.Name)
		}
		return int64(d)
	}
	n, ok := ParseSize(text)
	if !ok {
		panic("BUG: bound of " + v.Name)
	}
	return int64(n)
}
