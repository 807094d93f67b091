package settings

import (
	"errors"

	"github.com/alecthomas/kong"
)

// Options returns the flags that can have a place in the environment and the file:
// those in a group, unless it is the group of flags that choose what to do.
func Options(flags []*kong.Flag) (values []Value) {
	for _, f := range flags {
		if isOption(f) {
			values = append(values, Value{Flag: f})
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

// Absent returns the error about an argument that the command needs and that the command
// line does not have: its tag ask. It is err if the command has its arguments.
func Absent(trace *kong.Context, err error) error {
	command := trace.Selected()
	if command == nil || len(command.Positional) == 0 {
		return err
	}
	for _, p := range trace.Path {
		if p.Positional != nil {
			return err
		}
	}
	if ask := command.Positional[0].Tag.Get("ask"); ask != "" {
		return errors.New(ask)
	}
	return err
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
