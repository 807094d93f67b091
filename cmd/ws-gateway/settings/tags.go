package settings

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"
)

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
			return Invalid(v.Name, item, s.From(v.Name), wantOneOf(allowed))
		}
	}
	if !isList && !slices.Contains(allowed, v.Target.String()) {
		return s.Reject(v.Name, wantOneOf(allowed))
	}
	return nil
}

// wantOneOf completes "must be …".
func wantOneOf(allowed []string) string {
	if len(allowed) == 2 {
		return allowed[0] + " or " + allowed[1]
	}
	return "one of " + strings.Join(allowed, ", ")
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
