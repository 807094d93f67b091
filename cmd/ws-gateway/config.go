package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/internal/help"
	"ws-gateway/cmd/ws-gateway/internal/locate"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
	"ws-gateway/forward"
)

// config is what the command line, the environment and the file add up to.
type config struct {
	*options
	*settings.Set
	demoOptions
	actions

	args []string // that it was made of
	env  settings.Environment

	command     string // run, demo, replay, check, health
	demo        bool   // the command is demo
	checking    checkOptions
	asking      healthOptions
	file        string            // of --config; "": none
	inherited   systemd.Sockets   // listeners from systemd, instead of --listen and --admin-listen
	replay      replayOptions     // its File is empty unless the command is replay
	callback    string            // callback URL in force; "" for none
	token       string            // of the management API; "" for none
	callbackTLS *tls.Config       // for callbacks over https; nil: nothing special
	headers     []forward.Field   // sent with each callback
	secrets     []string          // that sign callbacks
	contents    map[string]digest // of the files that options name, by option
	fileKeys    int               // settings in the file of --config
	pending     []pendingChange   // what a reload could not change
	warnings    []string          // what is odd but no error
}

// errHelp means that what was asked for has been printed.
var errHelp = errors.New("help was printed")

// parseConfig reads the command line, the environment and the file, in falling
// precedence, and checks the result. Each line of an error is a mistake of its own,
// and all that there are. Help and version go to out, with errHelp. What comes with
// an error can be looked at, not run.
func parseConfig(args []string, env settings.Environment, out io.Writer) (*config, error) {
	var line commandLine
	set := settings.New()
	resolver := set.Resolver(env)
	parser, err := newParser(&line, set, resolver, env, out)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	args = putInPlace(set, parser.Model.Node, args)
	trace, err := kong.Trace(parser, args)
	if err != nil {
		return nil, err
	}
	given := settings.Given(trace)
	cfg := &config{command: commandOf(trace), options: &line.options, Set: set, args: args, env: env}
	cfg.checking.JSON = given["json"]
	switch {
	case given["help"]:
		return cfg, errors.Join(errHelp, trace.PrintUsage(false))
	case given["version"]:
		_, err := io.WriteString(out, program.VersionText())
		return cfg, errors.Join(errHelp, err)
	case cli.Is(cfg.command), cfg.command == "help", cfg.command == "version":
		return cfg, fmt.Errorf("%s takes none of the gateway's options: it must be the first word", cfg.command)
	case trace.Error != nil:
		return cfg, errors.Join(set.Mistakes(), trace.Error)
	}
	values, file := settings.Options(trace.Flags()), configPath(trace, env)
	if cfg.command == "health" && !given["listen"] && !given["admin-listen"] && !given["url"] && file == "" {
		file = locate.Standard(env, locate.StandardConfig) // it asks a gateway that is there
	}
	fileKeys := resolver.ReadFile(file, settings.Names(values))
	if _, err := parser.Parse(args); err != nil {
		return cfg, errors.Join(set.Mistakes(), err)
	}
	set.Take(values, given)
	cfg = &config{
		options: &line.options, Set: set, demoOptions: line.Demo, actions: line.actions, command: cfg.command, args: args, env: env,
		demo: cfg.command == "demo", replay: line.Replay, checking: line.Check, asking: line.Health,
		file: file, contents: map[string]digest{}, fileKeys: fileKeys,
		warnings: env.Unknown(slices.Concat(settings.Names(values), []string{"config"}, cli.Variables)),
	}
	found := set.Mistakes()
	return cfg, errors.Join(found, cfg.finish(env))
}

// commandOf returns the name of the chosen command; "" if there is none.
func commandOf(trace *kong.Context) string {
	name, _, _ := strings.Cut(trace.Command(), " ")
	return name
}

func newParser(cli *commandLine, set *settings.Set, resolver *settings.Resolver, env settings.Environment, out io.Writer) (*kong.Kong, error) {
	options := append(set.Mappers(),
		kong.Name("ws-gateway"),
		kong.Description(description),
		kong.ExplicitGroups(groups),
		kong.Resolvers(resolver),
	)
	style := kong.HelpOptions{NoAppDescFormat: true, NoExpandSubcommands: true}
	return kong.New(cli, append(options, help.Options(out, env, style)...)...)
}

// gatewayModel is the gateway's command line as kong sees it.
func gatewayModel() *kong.Application {
	set := settings.New()
	parser, err := newParser(&commandLine{}, set, set.Resolver(nil), nil, io.Discard)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return parser.Model
}

func configPath(trace *kong.Context, env settings.Environment) string {
	for _, p := range slices.Backward(trace.Path) {
		if p.Flag != nil && p.Flag.Name == "config" {
			return fmt.Sprint(trace.FlagValue(p.Flag))
		}
	}
	return env[settings.EnvName("config")]
}
