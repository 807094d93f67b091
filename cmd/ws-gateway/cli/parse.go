package cli

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/help"
	"ws-gateway/cmd/ws-gateway/settings"
)

// gatewayOptions say which gateway is asked.
type gatewayOptions struct {
	Gateway   string        `group:"gateway" placeholder:"URL" help:"Where the gateway's management API is: http://127.0.0.1:40010 or unix:/path. Default: where a gateway with this environment, or with --config, would have it, with its token."`
	Token     string        `group:"gateway" secret:"true" placeholder:"TOKEN" help:"The gateway's admin token. Other users of the host can see it here: prefer the file or the variable."`
	TokenFile string        `group:"gateway" placeholder:"FILE" help:"File that holds the token."`
	Timeout   time.Duration `group:"gateway" default:"10s" min:"10ms" help:"Time for an answer."`
}

// Group is the heading of the options that all commands have that ask a gateway.
var Group = kong.Group{Key: "gateway", Title: "Gateway:", Description: "Each of these is also an environment variable: --token-file is WS_GATEWAY_TOKEN_FILE."}

// line is what kong parses.
type line struct {
	Commands
	Config string `group:"gateway" placeholder:"FILE" help:"Configuration file of the gateway, for where it is and its token. Default: /etc/ws-gateway/gateway.yaml, if that is there and no variable says where the gateway is."`
}

// Is reports whether name is one of these commands.
func Is(name string) bool {
	for field := range reflect.TypeFor[Commands]().Fields() {
		if strings.EqualFold(field.Name, name) && strings.ToLower(name) == name {
			return true
		}
	}
	return false
}

// Model is the command line of these commands.
func Model() *kong.Application {
	parser, err := newParser(new(line), settings.New(), nil, io.Discard)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return parser.Model
}

func newParser(l *line, set *settings.Set, env settings.Environment, out io.Writer) (*kong.Kong, error) {
	options := append(set.Mappers(verbatim), // what is sent, and to whom, is taken as it was typed
		kong.Name("ws-gateway"),
		kong.ExplicitGroups([]kong.Group{Group}),
		kong.Resolvers(set.Resolver(env)),
	)
	return kong.New(l, append(options, help.Options(out, env, kong.HelpOptions{})...)...)
}

// errHelp means that help was asked for and has been printed.
var errHelp = errors.New("help was printed")

// parse reads a command line whose first word is one of Commands, and the environment.
// Each line of an error is a message of its own.
func parse(args []string, env settings.Environment, out io.Writer) (command, error) {
	var line line
	set := settings.New()
	parser, err := newParser(&line, set, env, out)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	if len(args) > 0 && slices.Contains([]string{"connect", "config", "completion"}, args[0]) {
		hideConfig(parser.Model.Node) // they ask no gateway: the flag is accepted and has no effect
	}
	args = joinValues(parser.Model.Node, args)
	trace, err := kong.Trace(parser, args)
	if err != nil {
		return nil, err
	}
	given := settings.Given(trace)
	if given["help"] {
		return nil, errors.Join(errHelp, trace.PrintUsage(false))
	}
	if trace.Error != nil {
		return nil, errors.Join(set.Mistakes(), trace.Error)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return nil, errors.Join(set.Mistakes(), settings.Absent(trace, err))
	}
	if line.Config != "" && env != nil {
		env[settings.EnvName("config")] = line.Config // package locate looks there
	}
	var values []settings.Value
	for _, f := range parsed.Flags() {
		values = append(values, settings.Value{Flag: f})
	}
	set.Take(values, given)
	mistakes := set.Mistakes()
	return parsed.Selected().Target.Addr().Interface().(command), errors.Join(mistakes, set.CheckTags())
}

// hideConfig leaves --config out of the help.
func hideConfig(root *kong.Node) {
	for _, f := range root.Flags {
		if f.Name == "config" {
			f.Hidden = true
		}
	}
}

// joinValues writes --option value as --option=value if the value begins with a dash,
// since kong would take it for a flag: the gateway's connection ids begin so in one start
// of 64, users may, and numbers may be negative. A flag stays a flag, even if it is
// misspelt.
func joinValues(root *kong.Node, args []string) (joined []string) {
	flags := slices.Clone(root.Flags)
	if len(args) > 0 {
		if command := settings.Command(root, args[0]); command != nil {
			flags = append(flags, command.Flags...)
		}
	}
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			return append(joined, args[i:]...)
		}
		at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return word == "--"+f.Name && !f.IsBool() })
		if at >= 0 && i+1 < len(args) && strings.HasPrefix(args[i+1], "-") && !looksLikeFlag(flags, args[i+1]) {
			i++
			word += "=" + args[i]
		}
		joined = append(joined, word)
	}
	return joined
}

// looksLikeFlag reports whether a word that begins with a dash is no value: -, the short
// form of one of flags, or -- and letters such as names of flags have.
func looksLikeFlag(flags []*kong.Flag, word string) bool {
	name, long := strings.CutPrefix(word, "--")
	name, _, _ = strings.Cut(name, "=")
	if long {
		return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == ""
	}
	return word == "-" || slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Short != 0 && word == "-"+string(f.Short) })
}

// inJSON are options whose values are sent as JSON, which has UTF-8 alone: other bytes
// would arrive as another name.
var inJSON = []string{"conn", "user", "group", "exclude", "reason"}

// verbatim takes a value as it is, blanks and all.
func verbatim(ctx *kong.DecodeContext, target reflect.Value) error {
	if !ctx.Scan.Peek().IsValue() {
		return errors.New("needs " + settings.WantText)
	}
	text := ctx.Scan.Pop().String()
	if slices.Contains(inJSON, ctx.Value.Name) && !utf8.ValidString(text) {
		return fmt.Errorf("must be UTF-8, not %q", text)
	}
	target.SetString(text)
	return nil
}
