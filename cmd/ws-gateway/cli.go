package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/internal/help"
	"ws-gateway/cmd/ws-gateway/internal/signals"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// clientCommands are for people who ask a running gateway. They have nothing of a
// gateway's configuration; their parser is their own.
type clientCommands struct {
	Send       sendOptions       `cmd:"" help:"Send a message to clients of a running gateway."`
	Close      closeOptions      `cmd:"" help:"Close connections."`
	List       listOptions       `cmd:"" help:"List connections: a table on a terminal, tab-separated fields elsewhere."`
	Count      countOptions      `cmd:"" help:"Count connections and their users."`
	Tail       tailOptions       `cmd:"" help:"Follow what happens to connections, live, until Ctrl-C."`
	Connect    connectOptions    `cmd:"" help:"Be a client: send the lines of standard input, print what comes. Pings by itself."`
	Completion completionOptions `cmd:"" help:"Print a script that makes a shell complete commands and options."`
}

// gatewayOptions say which gateway is asked.
type gatewayOptions struct {
	Gateway   string        `group:"gateway" placeholder:"URL" help:"Where the gateway's management API is: http://127.0.0.1:40010 or unix:/path. Default: where a gateway with this environment, or with --config, would have it, with its token."`
	Token     string        `group:"gateway" secret:"true" placeholder:"TOKEN" help:"The gateway's admin token. Other users of the host can see it here: prefer the file or the variable."`
	TokenFile string        `group:"gateway" placeholder:"FILE" help:"File that holds the token."`
	Timeout   time.Duration `group:"gateway" default:"10s" min:"10ms" help:"Time for an answer."`
}

// clientVariables are options that the gateway does not have and whose variables
// it must not warn about.
var clientVariables = []string{"gateway", "token", "token-file", "timeout"}

// clientCommand is one of them.
type clientCommand interface {
	// run does it. An error is shown to the user in one line; its exit code is
	// that of exitCodeOf.
	run(ctx context.Context, s *clientIO) error
}

// clientIO is what a command has around it.
type clientIO struct {
	env         settings.Environment
	in          *os.File
	out, notes  io.Writer
	outTerminal bool
	color       bool
	width       int // of the terminal, in columns; 0 where there is none

	notesTerminal bool // somebody reads the notes
}

// clientLine is what kong parses for them.
type clientLine struct {
	clientCommands
	Config string `group:"gateway" placeholder:"FILE" help:"Configuration file of the gateway, for where it is and its token. Default: /etc/ws-gateway/gateway.yaml, if that is there and no variable says where the gateway is."`
}

// isClientCommand reports whether name is one of them.
func isClientCommand(name string) bool {
	for field := range reflect.TypeFor[clientCommands]().Fields() {
		if strings.EqualFold(field.Name, name) && strings.ToLower(name) == name {
			return true
		}
	}
	return false
}

// The exit code beside those of a gateway.
const exitRefused = 3 // the gateway, or the server, said no

// usageError is about what was typed.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func exitCodeOf(err error) int {
	_, usage := errors.AsType[*usageError](err)
	_, refused := errors.AsType[*refusedError](err)
	switch {
	case err == nil:
		return program.ExitOK
	case usage:
		return program.ExitUsage
	case refused:
		return exitRefused
	case errors.Is(err, errNobody):
		return exitNobody
	}
	return program.ExitFailure
}

// client runs one of these commands and returns the exit code.
func client(p *program.Process) int {
	command, err := parseClient(p.Args, p.Env, p.Stdout)
	if errors.Is(err, errHelp) {
		return program.ExitOK
	}
	if err != nil {
		p.Complain(err)
		return program.ExitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer interruptible(p, cancel, command)()
	err = command.run(ctx, newClientIO(p))
	if err != nil {
		p.Complain(err)
	}
	return exitCodeOf(err)
}

// ender is a command that a signal ends in good order.
type ender interface{ endsBySignal() }

// interruptible makes a signal end the command: those that run for long in good
// order, unless there is a second signal, the others at once.
func interruptible(p *program.Process, cancel func(), command clientCommand) (release func()) {
	over, done := make(chan struct{}), make(chan struct{})
	p.CatchStops()
	go func() {
		defer close(done)
		_, orderly := command.(ender)
		var judge signals.Judge
		for {
			select {
			case <-over:
				return
			case s := <-p.Signals:
				intent := judge.Take(time.Now())
				switch {
				case !orderly, intent == signals.StopNow:
					p.Exit(signals.ExitCode(s))
				case intent == signals.Stop:
					cancel()
				}
			}
		}
	}()
	return func() {
		close(over)
		<-done
	}
}

func newClientIO(p *program.Process) *clientIO {
	s := &clientIO{env: p.Env, in: os.Stdin, out: p.Stdout, notes: p.Stderr, outTerminal: terminal.Is(p.Stdout), notesTerminal: terminal.Is(p.Stderr)}
	if s.outTerminal {
		s.width = terminal.Width(p.Stdout)
		s.color = p.Env["NO_COLOR"] == "" && p.Env["TERM"] != "dumb"
	}
	return s
}

// note tells the user something that is no output.
func (s *clientIO) note(format string, args ...any) {
	fmt.Fprintf(s.notes, "ws-gateway: %s\n", terminal.Printable(fmt.Sprintf(format, args...)))
}

// parseClient reads a command line whose first word is a client command, and the
// environment. Each line of an error is a message of its own.
func parseClient(args []string, env settings.Environment, out io.Writer) (clientCommand, error) {
	var line clientLine
	set := settings.New()
	options := append(set.Mappers(),
		// What is sent and whom to, is taken as it was typed.
		kong.KindMapper(reflect.String, kong.MapperFunc(verbatim)),
		kong.Name("ws-gateway"),
		kong.ExplicitGroups([]kong.Group{clientGroup}),
		kong.Resolvers(set.Resolver(env)),
	)
	options = append(options, help.Options(out, env, kong.HelpOptions{})...)
	parser, err := kong.New(&line, options...)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	if len(args) > 0 && (args[0] == "connect" || args[0] == "completion") {
		hideConfig(parser.Model.Node) // they ask no gateway: it is taken, and means nothing
	}
	args = joined(parser.Model.Node, args)
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
		return nil, errors.Join(set.Mistakes(), err)
	}
	if line.Config != "" && env != nil {
		env[settings.EnvName("config")] = line.Config // of which the rest is asked
	}
	var values []settings.Value
	for _, f := range parsed.Flags() {
		values = append(values, settings.Value{Flag: f})
	}
	set.Take(values, given)
	mistakes := set.Mistakes()
	return parsed.Selected().Target.Addr().Interface().(clientCommand), errors.Join(mistakes, set.CheckTags())
}

// hideConfig leaves --config out of the help.
func hideConfig(root *kong.Node) {
	for _, f := range root.Flags {
		if f.Name == "config" {
			f.Hidden = true
		}
	}
}

// joined returns the command line with --option=value where the value begins with a
// dash and would be taken for a flag: in one start of 64 the gateway's connection ids
// do, users may be called so, and numbers may be negative. What is a flag, or looks
// like one that was misspelt, stays one.
func joined(root *kong.Node, args []string) (all []string) {
	flags := slices.Clone(root.Flags)
	if len(args) > 0 {
		if command := settings.Command(root, args[0]); command != nil {
			flags = append(flags, command.Flags...)
		}
	}
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			return append(all, args[i:]...)
		}
		at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return word == "--"+f.Name && !f.IsBool() })
		if at >= 0 && i+1 < len(args) && strings.HasPrefix(args[i+1], "-") && !looksLikeFlag(flags, args[i+1]) {
			i++
			word += "=" + args[i]
		}
		all = append(all, word)
	}
	return all
}

// looksLikeFlag reports whether a word that begins with a dash is no value: -, a
// short flag of these, or -- and what names of flags are made of.
func looksLikeFlag(flags []*kong.Flag, word string) bool {
	name, long := strings.CutPrefix(word, "--")
	name, _, _ = strings.Cut(name, "=")
	if long {
		return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == ""
	}
	return word == "-" || slices.ContainsFunc(flags, func(f *kong.Flag) bool { return f.Short != 0 && word == "-"+string(f.Short) })
}

// clientGroup is the heading of gatewayOptions in help texts.
var clientGroup = kong.Group{Key: "gateway", Title: "Gateway:", Description: "Each of these is also an environment variable: --token-file is WS_GATEWAY_TOKEN_FILE."}

// inJSON are options whose values go into JSON, which has UTF-8 alone: other bytes
// would become another name on the way.
var inJSON = []string{"conn", "user", "exclude", "reason"}

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
