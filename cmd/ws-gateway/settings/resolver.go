package settings

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// Resolver gives kong the values that the command line does not: the environment's,
// or else the file's. Kong's own handling of environment variables is not used, as
// it would give files the last word.
type Resolver struct {
	set      *Set
	env      Environment
	fileName string
	file     map[string]setting
}

// Resolver returns a resolver that notes in the set where values come from.
func (s *Set) Resolver(env Environment) *Resolver { return &Resolver{set: s, env: env} }

// ReadFile reads the file at path, which may set the options allowed, and notes
// what is wrong with it. It returns the number of options that the file sets.
func (r *Resolver) ReadFile(path string, allowed []string) int {
	if path != "" {
		r.fileName = filepath.Base(path)
		r.file = r.set.readFile(path, allowed)
	}
	return len(r.file)
}

// Validate has nothing to do: ReadFile has checked the keys.
func (r *Resolver) Validate(*kong.Application) error { return nil }

// Resolve is called for each flag that is not on the command line. It returns
// nil for the default.
func (r *Resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isOption(flag) {
		return nil, nil
	}
	if text, ok := r.env[EnvName(flag.Name)]; ok {
		r.set.Sources[flag.Name] = Source(EnvName(flag.Name))
		return text, nil
	}
	s, ok := r.file[flag.Name]
	if !ok {
		return nil, nil
	}
	r.set.Sources[flag.Name] = Source(fmt.Sprintf("%s line %d", r.fileName, s.line))
	if s.list && flag.IsSlice() {
		return s.texts, nil
	}
	if s.list {
		r.set.reject(&valueError{option: flag.Name, value: strings.Join(s.texts, ", "), want: "one value, not a list"})
		return nil, nil
	}
	return s.texts[0], nil
}
