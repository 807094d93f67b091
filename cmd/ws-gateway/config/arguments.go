package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/settings"
)

// place returns the command line without flags that the command does not have and words
// that are no command. It notes these in set.
func (p Parser) place(set *settings.Set, root *kong.Node, args []string) (placed []string) {
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
				set.Misnamed(fmt.Errorf("unknown flag --%s%s", name, settings.DidYouMean("--"+name, flagNames(flags, "--"))), name, flagNames(flags, ""))
				if hasNext && free == 0 && !slices.Contains(p.Commands(), args[i+1]) {
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
		case strings.HasPrefix(word, "-"): // kong reports short flags
		default:
			child := settings.Command(root, word)
			if node != root || child == nil {
				set.Stray(p.strayWord(node, root, word))
				continue
			}
			node, flags, free = child, append(slices.Clone(root.Flags), child.Flags...), len(child.Positional)
			if p.isClient(word) {
				return append(placed, word) // and Parse refuses it
			}
		}
		placed = append(placed, word)
	}
	return placed
}

// isNegative reports whether a word begins like a negative number.
func isNegative(word string) bool {
	return len(word) > 1 && word[0] == '-' && '0' <= word[1] && word[1] <= '9'
}

func (p Parser) strayWord(node, root *kong.Node, word string) error {
	if node == root {
		return p.unknownCommand(word)
	}
	return fmt.Errorf("unexpected argument %q: %s takes none like it", word, node.Name)
}

func flagNames(flags []*kong.Flag, prefix string) (names []string) {
	for _, f := range flags {
		names = append(names, prefix+f.Name)
	}
	return names
}
