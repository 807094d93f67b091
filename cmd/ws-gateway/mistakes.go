package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// mistakes is what is wrong with a configuration, whatever its kind: it is collected,
// so that all of it is said at once. What follows from a mistake that has been
// noted is none of its own.
type mistakes struct {
	names  []error          // words, flags and keys that nobody knows
	values map[string]error // by option: what cannot be its value
	doubt  map[string]bool  // options of which nothing can be concluded: there is a mistake about their value or their name
	blind  bool             // there is a file that cannot be read: any option may be in it
}

func newMistakes() *mistakes {
	return &mistakes{values: map[string]error{}, doubt: map[string]bool{}}
}

// misnamed notes a name that nobody knows, and which option may have been meant.
func (m *mistakes) misnamed(err error, name string, known []string) {
	m.names = append(m.names, err)
	if option := closest(name, known); option != "" {
		m.doubt[option] = true
	}
}

// unfit notes what cannot be an option's value. The first counts.
func (m *mistakes) unfit(option string, err error) {
	if m.values[option] == nil {
		m.values[option] = err
	}
	m.doubt[option] = true
}

// certain reports whether something can be concluded from the values of options.
func (m *mistakes) certain(options ...string) bool {
	return !m.blind && !slices.ContainsFunc(options, func(o string) bool { return m.doubt[o] })
}

// found returns all of it, with where values come from.
func (m *mistakes) found(r *resolver) error {
	errs := slices.Clone(m.names)
	for _, option := range slices.Sorted(maps.Keys(m.values)) {
		errs = append(errs, r.explain(m.values[option]))
	}
	return errors.Join(errs...)
}

// place returns the command line without what has no place in it, which it notes:
// flags that the command does not have, and words that are no command.
func (m *mistakes) place(root *kong.Node, args []string) (placed []string) {
	node, flags := root, root.Flags
	free := 0 // arguments that the command still takes
	for i := 0; i < len(args); i++ {
		word := args[i]
		name, _, assigned := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		switch {
		case word == "--", !strings.HasPrefix(word, "-") && free > 0:
			free--
		case strings.HasPrefix(word, "--"):
			at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == name })
			hasNext := !assigned && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-")
			if at < 0 {
				m.misnamed(fmt.Errorf("unknown flag --%s%s", name, didYouMean("--"+name, flagNames(flags, "--"))), name, flagNames(flags, ""))
				if hasNext && free == 0 && !isCommand(args[i+1]) {
					i++ // its value
				}
				continue
			}
			if !assigned && i+1 < len(args) && isNegative(args[i+1]) && !flags[at].IsBool() {
				word += "=" + args[i+1] // a number, not a flag
				i++
			} else if hasNext && !flags[at].IsBool() {
				placed = append(placed, word)
				i++
				word = args[i]
			}
		case strings.HasPrefix(word, "-"): // kong says what is wrong with short ones
		default:
			child := childOf(root, word)
			if node != root || child == nil {
				m.names = append(m.names, strayWord(node, root, word))
				continue
			}
			node, flags, free = child, append(slices.Clone(root.Flags), child.Flags...), len(child.Positional)
			if isClientCommand(word) {
				return append(placed, word) // which is refused here
			}
		}
		placed = append(placed, word)
	}
	return placed
}

// isNegative reports whether a word begins as a negative number does.
func isNegative(word string) bool {
	return len(word) > 1 && word[0] == '-' && '0' <= word[1] && word[1] <= '9'
}

func strayWord(node, root *kong.Node, word string) error {
	if node == root {
		return unknownCommand(word)
	}
	return fmt.Errorf("unexpected argument %q: %s takes none like it", word, node.Name)
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func flagNames(flags []*kong.Flag, prefix string) (names []string) {
	for _, f := range flags {
		names = append(names, prefix+f.Name)
	}
	return names
}
