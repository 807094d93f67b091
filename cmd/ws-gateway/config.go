package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/forward"
)

// config is what the command line, the environment and the file add up to.
type config struct {
	*options
	demoOptions
	actions

	args []string // that it was made of
	env  environment

	command     string // run, demo, replay, check, health
	demo        bool   // the command is demo
	checking    checkOptions
	asking      healthOptions
	file        string            // of --config; "": none
	inherited   inherited         // listeners from systemd, instead of --listen and --admin-listen
	replay      replayOptions     // its File is empty unless the command is replay
	callback    string            // callback URL in force; "" for none
	token       string            // of the management API; "" for none
	callbackTLS *tls.Config       // for callbacks over https; nil: nothing special
	headers     []forward.Field   // sent with each callback
	secrets     []string          // that sign callbacks
	values      []value           // the options, in the table's order
	sources     map[string]source // by option; an option at its default is not there
	contents    map[string]digest // of the files that options name, by option
	fileKeys    int               // settings in the file of --config
	pending     []pendingChange   // what a reload could not change
	warnings    []string          // what is odd but no error
	mistakes    *mistakes
}

// value is one option and where it is kept.
type value struct {
	*kong.Flag
}

// source says where a value comes from, in words: "flag",
// "WS_GATEWAY_LISTEN", "gateway.yaml line 3".
type source string

const sourceFlag source = "flag"

// errHelp means that what was asked for has been printed.
var errHelp = errors.New("help was printed")

// parseConfig reads the command line, the environment and the file, in falling
// precedence, and checks the result. Each line of an error is a mistake of its own,
// and all that there are. Help and version go to out, with errHelp. What comes with
// an error can be looked at, not run.
func parseConfig(args []string, env environment, out io.Writer) (*config, error) {
	var cli commandLine
	m := newMistakes()
	resolver := &resolver{env: env, sources: map[string]source{}, mistakes: m}
	parser, err := newParser(&cli, resolver, out)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	args = m.place(parser.Model.Node, args)
	trace, err := kong.Trace(parser, args)
	if err != nil {
		return nil, err
	}
	given := givenFlags(trace)
	cfg := &config{command: commandOf(trace), options: &cli.options, args: args, env: env, mistakes: m}
	cfg.checking.JSON = given["json"]
	switch {
	case given["help"]:
		return cfg, errors.Join(errHelp, trace.PrintUsage(false))
	case given["version"]:
		_, err := io.WriteString(out, program.VersionText())
		return cfg, errors.Join(errHelp, err)
	case isClientCommand(cfg.command), cfg.command == "help", cfg.command == "version":
		return cfg, fmt.Errorf("%s takes none of the gateway's options: it must be the first word", cfg.command)
	case trace.Error != nil:
		return cfg, errors.Join(m.found(resolver), trace.Error)
	}
	values, file := optionsOf(trace), configPath(trace, env)
	if cfg.command == "health" && !given["listen"] && !given["admin-listen"] && !given["url"] && file == "" {
		file = standardIn(env, standardConfig) // it asks a gateway that is there
	}
	resolver.readFile(file, names(values))
	if _, err := parser.Parse(args); err != nil {
		return cfg, errors.Join(m.found(resolver), err)
	}
	for _, v := range values {
		if given[v.Name] {
			resolver.sources[v.Name] = sourceFlag
		}
	}
	cfg = &config{
		options: &cli.options, demoOptions: cli.Demo, actions: cli.actions, command: cfg.command, args: args, env: env,
		demo: cfg.command == "demo", replay: cli.Replay, checking: cli.Check, asking: cli.Health,
		values: values, file: file, sources: resolver.sources, contents: map[string]digest{}, fileKeys: len(resolver.file), mistakes: m,
		warnings: env.unknown(slices.Concat(names(values), []string{"config"}, clientVariables)),
	}
	found := m.found(resolver)
	return cfg, errors.Join(found, cfg.finish(env))
}

// commandOf returns the name of the chosen command; "" where there is none.
func commandOf(trace *kong.Context) string {
	name, _, _ := strings.Cut(trace.Command(), " ")
	return name
}

func newParser(cli *commandLine, resolver *resolver, out io.Writer) (*kong.Kong, error) {
	options := append(mappers(resolver.mistakes),
		kong.Name("ws-gateway"),
		kong.Description(description),
		kong.ExplicitGroups(groups),
		kong.ConfigureHelp(kong.HelpOptions{NoAppDescFormat: true, NoExpandSubcommands: true, WrapUpperBound: helpWidth}),
		printHelp(out, resolver.env),
		kong.ValueFormatter(func(v *kong.Value) string { return v.Help }),
		kong.Writers(out, io.Discard),
		kong.Resolvers(resolver),
	)
	return kong.New(cli, options...)
}

// givenFlags returns the flags that the command line has, up to its first error.
func givenFlags(trace *kong.Context) map[string]bool {
	given := map[string]bool{}
	for _, p := range trace.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	return given
}

// optionsOf returns the options of the chosen command: its flags without the
// actions.
func optionsOf(trace *kong.Context) (values []value) {
	for _, f := range trace.Flags() {
		if f.Group != nil && f.Group.Key != "actions" {
			values = append(values, value{f})
		}
	}
	return values
}

func names(values []value) (names []string) {
	for _, v := range values {
		names = append(names, v.Name)
	}
	return names
}

func configPath(trace *kong.Context, env environment) string {
	for _, p := range slices.Backward(trace.Path) {
		if p.Flag != nil && p.Flag.Name == "config" {
			return fmt.Sprint(trace.FlagValue(p.Flag))
		}
	}
	return env[envName("config")]
}

// resolver gives kong the values that the command line does not: the
// environment's, or else the file's. Kong's own handling of environment
// variables is not used, as it would give files the last word.
type resolver struct {
	env      environment
	fileName string
	file     map[string]setting
	sources  map[string]source
	mistakes *mistakes
}

func (r *resolver) readFile(path string, allowed []string) {
	if path != "" {
		r.fileName = filepath.Base(path)
		r.file = readConfigFile(path, allowed, r.mistakes)
	}
}

// Validate has nothing to do: readFile has checked the keys.
func (r *resolver) Validate(*kong.Application) error { return nil }

// Resolve is called for each flag that is not on the command line. It returns
// nil for the default.
func (r *resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Group == nil || flag.Group.Key == "actions" {
		return nil, nil
	}
	if text, ok := r.env[envName(flag.Name)]; ok {
		r.sources[flag.Name] = source(envName(flag.Name))
		return text, nil
	}
	s, ok := r.file[flag.Name]
	if !ok {
		return nil, nil
	}
	r.sources[flag.Name] = source(fmt.Sprintf("%s line %d", r.fileName, s.line))
	if flag.IsSlice() {
		return kong.JoinEscaped(s.texts, flag.Tag.Sep), nil
	}
	if s.list {
		r.mistakes.unfit(flag.Name, &valueError{flag.Name, strings.Join(s.texts, ", "), "one value, not a list"})
		return nil, nil
	}
	return s.texts[0], nil
}

// explain turns an error of kong's into one line that says where the value came
// from.
func (r *resolver) explain(err error) error {
	if bad, ok := errors.AsType[*valueError](err); ok {
		return invalid(bad.option, bad.value, r.sources[bad.option], bad.want)
	}
	return err
}

// invalid is the error about an option's value.
func invalid(option, value string, from source, want string) error {
	if from == "" {
		from = sourceFlag
	}
	return fmt.Errorf("--%s %q (from %s): must be %s", option, value, from, want)
}

// reject is the error about the value that option has; nil if there is a mistake
// about it already.
func (c *config) reject(option, want string) error {
	if c.mistakes.doubt[option] {
		return nil
	}
	c.mistakes.doubt[option] = true
	i := slices.IndexFunc(c.values, func(v value) bool { return v.Name == option })
	return invalid(option, c.values[i].shown(), c.from(option), want)
}

// from says where the value of option comes from.
func (c *config) from(option string) source {
	if s, ok := c.sources[option]; ok {
		return s
	}
	return "default"
}

const masked = "********"

func (v value) secret() bool { return v.Tag.Has("secret") && !v.Target.IsZero() }

// shown is the value as text that may be shown to anybody.
func (v value) shown() string {
	switch {
	case v.secret():
		return masked
	case v.Target.Kind() == reflect.Slice:
		return strings.Join(v.Target.Interface().([]string), ",")
	}
	return fmt.Sprint(v.Target.Interface())
}
