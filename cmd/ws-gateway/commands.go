package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/settings"
)

// commandNames are the commands, those that ask for help and version included.
var commandNames = namesOfCommands(reflect.TypeFor[commandLine]())

func namesOfCommands(t reflect.Type) (names []string) {
	for field := range t.Fields() {
		if _, command := field.Tag.Lookup("cmd"); command {
			names = append(names, strings.ToLower(field.Name))
		} else if field.Anonymous {
			names = append(names, namesOfCommands(field.Type)...)
		}
	}
	return names
}

// helpOptions are what help has. The command never runs: plainly makes it --help.
type helpOptions struct {
	Command string `arg:"" optional:"" placeholder:"COMMAND" help:"The command to explain."`
}

// plainly returns the command line with flags instead of the words help and
// version. A first word that is no command is an error.
func plainly(args []string) ([]string, error) {
	if len(args) == 0 || args[0] == cli.CompleteCommand {
		return args, nil
	}
	word, rest := args[0], args[1:]
	switch {
	case strings.HasPrefix(word, "-"):
		return args, nil
	case word == "help" && len(rest) > 1:
		return nil, fmt.Errorf("help explains one command: ws-gateway help %s", rest[0])
	case word == "help" && len(rest) == 1 && isCommand(rest[0]) && rest[0] != "help":
		return []string{rest[0], "--help"}, nil
	case word == "help" && len(rest) == 1 && !isCommand(rest[0]) && !strings.HasPrefix(rest[0], "-"):
		return nil, unknownCommand(rest[0])
	case word == "help":
		return []string{"--help"}, nil
	case word == "version" && len(rest) == 1 && (rest[0] == "--help" || rest[0] == "-h"):
		return args, nil
	case word == "version" && len(rest) > 0:
		return nil, fmt.Errorf("version takes nothing behind it, not %q", rest[0])
	case word == "version":
		return []string{"--version"}, nil
	case !isCommand(word):
		return nil, unknownCommand(word)
	}
	return args, nil
}

func isCommand(word string) bool { return slices.Contains(commandNames, word) }

func unknownCommand(word string) error {
	if meant := settings.DidYouMean(word, commandNames); meant != "" {
		return fmt.Errorf("unknown command %q%s", word, meant)
	}
	return fmt.Errorf("unknown command %q: ws-gateway help lists those that there are", word)
}
