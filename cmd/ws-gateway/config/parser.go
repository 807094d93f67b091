package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/help"
	"ws-gateway/cmd/ws-gateway/locate"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// Parser reads the gateway's command line.
type Parser struct {
	Env settings.Environment
	Out io.Writer // of help and version

	// Clients points to a struct with the commands of the client, for the help and
	// the model; nil for none. They have parsers of their own: as the gateway's
	// command they are refused.
	Clients any
}

// ErrHelp means that what was asked for has been printed.
var ErrHelp = errors.New("help was printed")

// Parse reads the command line, the environment and the file, in this order of
// precedence, and checks the result. The error is ErrHelp if help or the version was
// printed, and otherwise an *Error with all mistakes.
func (p Parser) Parse(args []string) (*Config, error) {
	c, err := p.parse(args)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, ErrHelp):
		return nil, err
	}
	rejected := &Error{Command: c.Command, JSON: c.Check.JSON, err: err}
	if c.Values != nil {
		rejected.Bindings, rejected.Outputs = c.Bindings(), c.Outputs()
	}
	return nil, rejected
}

// parse is Parse, but returns what it has read with an error, too: Values is nil then
// if the command line could not be read.
func (p Parser) parse(args []string) (*Config, error) {
	cli := &commandLine{Plugins: p.plugins()}
	set := settings.New()
	set.Redact = map[string]func(items []string) ([]string, bool){"cluster": redactServers}
	resolver := set.Resolver(p.Env)
	c := &Config{Options: &cli.Options, Set: set, args: args, parser: p, contents: map[string]digest{}}
	parser, err := p.kong(cli, set, resolver)
	if err != nil {
		return c, fmt.Errorf("BUG: %w", err)
	}
	args = p.place(set, parser.Model.Node, args)
	trace, err := kong.Trace(parser, args)
	if err != nil {
		return c, err
	}
	given := settings.Given(trace)
	c.Command, _, _ = strings.Cut(trace.Command(), " ")
	c.Check.JSON = given["json"]
	switch {
	case given["help"]:
		return c, errors.Join(ErrHelp, trace.PrintUsage(false))
	case given["version"]:
		_, err := io.WriteString(p.Out, program.VersionText())
		return c, errors.Join(ErrHelp, err)
	case p.isClient(c.Command), c.Command == "help", c.Command == "version":
		return c, fmt.Errorf("%s takes none of the gateway's options: it must be the first word", c.Command)
	case trace.Error != nil:
		return c, errors.Join(set.Mistakes(), trace.Error)
	}
	values := settings.Options(trace.Flags())
	c.file = configPath(trace, p.Env)
	if c.Command == "health" && !given["listen"] && !given["admin-listen"] && !given["url"] && c.file == "" {
		c.file = locate.Standard(p.Env, locate.StandardConfig) // of a gateway that runs on this host
	}
	c.fileKeys = resolver.ReadFile(c.file, settings.Names(values))
	if _, err := parser.Parse(args); err != nil {
		return c, errors.Join(set.Mistakes(), settings.Absent(trace, err))
	}
	set.Take(values, given)
	c.DemoOptions, c.Actions, c.Replay, c.Check, c.Health = cli.Demo, cli.Actions, cli.Replay, cli.Check, cli.Health
	c.Warnings = p.Env.Unknown(slices.Concat(settings.Names(values), []string{"config"}, p.clientOptions(parser.Model.Node)))
	mistakes := set.Mistakes()
	return c, errors.Join(mistakes, c.finish())
}

func (p Parser) kong(cli *commandLine, set *settings.Set, resolver *settings.Resolver) (*kong.Kong, error) {
	options := append(set.Mappers(nil),
		kong.Name("ws-gateway"),
		kong.Description(description),
		kong.ExplicitGroups(groups),
		kong.Resolvers(resolver),
	)
	out := p.Out
	if out == nil {
		out = io.Discard
	}
	style := kong.HelpOptions{NoAppDescFormat: true, NoExpandSubcommands: true}
	return kong.New(cli, append(options, help.Options(out, p.Env, style)...)...)
}

// Model returns the command line with all commands and options, as kong sees it.
func (p Parser) Model() *kong.Application {
	set := settings.New()
	parser, err := p.kong(&commandLine{Plugins: p.plugins()}, set, set.Resolver(nil))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return parser.Model
}

// Commands returns the names of all commands.
func (p Parser) Commands() (names []string) {
	for field := range reflect.TypeFor[commandLine]().Fields() {
		if field.Type == reflect.TypeFor[kong.Plugins]() {
			names = append(names, p.clients()...)
		} else if _, command := field.Tag.Lookup("cmd"); command {
			names = append(names, strings.ToLower(field.Name))
		}
	}
	return names
}

// unknownCommand is the error about a word that is no command.
func (p Parser) unknownCommand(word string) error {
	if meant := settings.DidYouMean(word, p.Commands()); meant != "" {
		return fmt.Errorf("unknown command %q%s", word, meant)
	}
	return fmt.Errorf("unknown command %q: ws-gateway help lists those that there are", word)
}

func (p Parser) plugins() kong.Plugins {
	if p.Clients == nil {
		return nil
	}
	return kong.Plugins{reflect.New(reflect.TypeOf(p.Clients).Elem()).Interface()}
}

// clients returns the names of the client's commands.
func (p Parser) clients() (names []string) {
	if p.Clients == nil {
		return nil
	}
	for field := range reflect.TypeOf(p.Clients).Elem().Fields() {
		names = append(names, strings.ToLower(field.Name))
	}
	return names
}

func (p Parser) isClient(command string) bool { return slices.Contains(p.clients(), command) }

// clientOptions returns the options that only the client has, whose variables the
// gateway must not warn about.
func (p Parser) clientOptions(root *kong.Node) (names []string) {
	for _, command := range root.Children {
		if p.isClient(command.Name) {
			names = append(names, settings.Names(settings.Options(command.Flags))...)
		}
	}
	return names
}

func configPath(trace *kong.Context, env settings.Environment) string {
	for _, p := range slices.Backward(trace.Path) {
		if p.Flag != nil && p.Flag.Name == "config" {
			return fmt.Sprint(trace.FlagValue(p.Flag))
		}
	}
	return env[settings.EnvName("config")]
}
