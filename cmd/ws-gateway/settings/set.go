package settings

import (
	"errors"
	"maps"
	"slices"
)

// Set is the options of one command, where their values come from, and what is
// wrong with them. Mistakes of all kinds are collected, so that all of them are
// reported at once. What merely follows from a known mistake is not reported.
type Set struct {
	Values  []Value           // in the table's order
	Sources map[string]Source // by option; an option at its default has none

	// Redact has, for options with the tag secret whose items are not secret as a whole, what
	// shows items without what is secret in them, or says that nothing of them can be shown.
	Redact map[string]func(items []string) (shown []string, ok bool)

	misnamed []error                // words, flags and keys that nobody knows
	unfit    map[string]*valueError // by option: a text that cannot be its value
	doubted  map[string]bool        // options with a mistake in their value or, perhaps, their name
	blind    bool                   // a file cannot be read: it may set any option
}

// New returns a set without values.
func New() *Set {
	return &Set{Sources: map[string]Source{}, unfit: map[string]*valueError{}, doubted: map[string]bool{}}
}

// Take makes values those of the set. given names the flags on the command line.
func (s *Set) Take(values []Value, given map[string]bool) {
	s.Values = values
	for i, v := range values {
		values[i].redact = s.Redact[v.Name]
		if given[v.Name] {
			s.Sources[v.Name] = FromFlag
		}
	}
}

// Lookup returns the option of that name. It panics if there is none.
func (s *Set) Lookup(option string) Value {
	i := slices.IndexFunc(s.Values, func(v Value) bool { return v.Name == option })
	if i < 0 {
		panic("BUG: no option " + option)
	}
	return s.Values[i]
}

// From says where the value of option comes from.
func (s *Set) From(option string) Source {
	if from, ok := s.Sources[option]; ok {
		return from
	}
	return FromDefault
}

// Reject returns the error about the value of option, which must be what want
// says; nil if a mistake about the option is known already.
func (s *Set) Reject(option, want string) error {
	if s.doubted[option] {
		return nil
	}
	s.doubted[option] = true
	return Invalid(option, s.Lookup(option).Shown(), s.From(option), want)
}

// Misnamed notes an unknown name, which may be a misspelt one of known.
func (s *Set) Misnamed(err error, name string, known []string) {
	s.Stray(err)
	if option := closest(name, known); option != "" {
		s.Doubt(option)
	}
}

// HasStray reports whether a word, a flag or a key is known to nobody.
func (s *Set) HasStray() bool { return len(s.misnamed) > 0 }

// Stray notes a word that has no place where it is.
func (s *Set) Stray(err error) { s.misnamed = append(s.misnamed, err) }

// Doubt notes that nothing can be concluded from the value of option.
func (s *Set) Doubt(option string) { s.doubted[option] = true }

// Doubted reports whether a mistake about option is known.
func (s *Set) Doubted(option string) bool { return s.doubted[option] }

// Blind reports whether a file could not be read.
func (s *Set) Blind() bool { return s.blind }

// Certain reports whether the values of options can be compared with each other.
func (s *Set) Certain(options ...string) bool {
	return !s.blind && !slices.ContainsFunc(options, s.Doubted)
}

// reject notes a text that cannot be the value of its option. The first counts.
func (s *Set) reject(err *valueError) {
	if s.unfit[err.option] == nil {
		s.unfit[err.option] = err
	}
	s.Doubt(err.option)
}

// Mistakes returns what was noted while values were read; nil if nothing was.
func (s *Set) Mistakes() error {
	errs := slices.Clone(s.misnamed)
	for _, option := range slices.Sorted(maps.Keys(s.unfit)) {
		errs = append(errs, s.explain(s.unfit[option]))
	}
	return errors.Join(errs...)
}
