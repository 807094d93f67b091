package config

import (
	"fmt"
	"slices"
	"strings"
)

// Words returns the command line with flags instead of the words help and version. It is
// an error if the first word is no command.
func (p Parser) Words(args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	word, rest := args[0], args[1:]
	known := func(word string) bool { return slices.Contains(p.Commands(), word) }
	switch {
	case strings.HasPrefix(word, "-"):
		return args, nil
	case word == "help" && len(rest) > 1:
		return nil, fmt.Errorf("help explains one command: ws-gateway help %s", rest[0])
	case word == "help" && len(rest) == 1 && known(rest[0]) && rest[0] != "help":
		return []string{rest[0], "--help"}, nil
	case word == "help" && len(rest) == 1 && !known(rest[0]) && !strings.HasPrefix(rest[0], "-"):
		return nil, p.unknownCommand(rest[0])
	case word == "help":
		return []string{"--help"}, nil
	case word == "version" && len(rest) == 1 && (rest[0] == "--help" || rest[0] == "-h"):
		return args, nil
	case word == "version" && len(rest) > 0:
		return nil, fmt.Errorf("version takes nothing behind it, not %q", rest[0])
	case word == "version":
		return []string{"--version"}, nil
	case !known(word):
		return nil, p.unknownCommand(word)
	}
	return args, nil
}
