package docs_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"ws-gateway/cmd/ws-gateway/cli"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

const manPage = "../deploy/package/ws-gateway.8"

// roff escapes text for a man page: blanks and line breaks mean nothing there, but a
// dash is a hyphen unless it is escaped, and a dot at the beginning a command.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "…", "...", "“", `"`, "”", `"`).Replace(text)
	lines := wrap(text, 79)
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// wrap fills lines of at most so many characters.
func wrap(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// roffOption is an option, or an argument, and what it does.
func roffOption(name string, v *kong.Value, placeholder string) string {
	head := `.B ` + roff(name)
	if placeholder != "" && !v.IsBool() {
		head = fmt.Sprintf(`\fB%s\fR \fI%s\fR`, roff(name), roff(placeholder))
	}
	text := roff(v.Help)
	if v.HasDefault && v.Default != "" && !v.IsBool() && !strings.Contains(v.Help, "Default:") {
		text += "\n" + roff("Default: "+v.Default+".")
	}
	return ".TP\n" + head + "\n" + text + "\n"
}

func roffFlag(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	placeholder := f.PlaceHolder
	if placeholder == "" {
		placeholder = "VALUE"
	}
	return roffOption(name, f.Value, placeholder)
}

// manOptions are the options of run, by their groups, and what else the gateway takes.
func manOptions(root *kong.Node) string {
	var b strings.Builder
	group := ""
	for _, f := range root.Flags {
		if f.Group == nil {
			continue
		}
		if f.Group.Title != group {
			group = f.Group.Title
			fmt.Fprintf(&b, ".SS %s\n", roff(strings.TrimSuffix(group, ":")))
		}
		b.WriteString(roffFlag(f))
	}
	return b.String()
}

// manCommands are the commands with what is their own.
func manCommands(root *kong.Node) string {
	var b strings.Builder
	for _, command := range root.Children {
		if command.Hidden {
			continue
		}
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(command.Name), roff(command.Help))
		for _, line := range strings.FieldsFunc(command.Detail, func(r rune) bool { return r == '\n' }) {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(line))
		}
		for _, argument := range command.Positional {
			b.WriteString(roffOption(argument.Summary(), argument, ""))
		}
		for _, f := range command.Flags {
			if f.Group == nil || f.Group.Key != cli.Group.Key {
				b.WriteString(roffFlag(f))
			}
		}
	}
	return b.String()
}

// manClientOptions are those that all commands have that ask a gateway.
func manClientOptions(root *kong.Node) string {
	var b strings.Builder
	for _, f := range cli.Model().Flags {
		if f.Name == "config" {
			b.WriteString(roffFlag(f))
		}
	}
	for _, f := range settings.Command(root, "send").Flags {
		if f.Group != nil && f.Group.Key == cli.Group.Key {
			b.WriteString(roffFlag(f))
		}
	}
	return b.String()
}

func TestTheDocsHaveTheManPageWithAllCommandsAndOptions(t *testing.T) {
	root := config.Parser{Clients: &cli.Commands{}}.Model().Node
	writeSection(t, manPage, "options", manOptions(root))
	writeSection(t, manPage, "commands", manCommands(root))
	writeSection(t, manPage, "client options", manClientOptions(root))
	page := read(t, manPage)
	for _, v := range configtest.MustParse(t, []string{"demo"}).Values {
		if !strings.Contains(page, `\fB`+roff("--"+v.Name)+`\fR`) && !strings.Contains(page, ".B "+roff("--"+v.Name)+"\n") {
			t.Errorf("the man page has no --%s", v.Name)
		}
	}
	for _, command := range (config.Parser{Clients: &cli.Commands{}}).Commands() {
		if !strings.Contains(page, "\n.SS "+command+"\n") {
			t.Errorf("the man page has no %s", command)
		}
	}
	for _, code := range []int{program.ExitOK, program.ExitFailure, program.ExitUsage, cli.ExitRefused, cli.ExitNobody} {
		if !strings.Contains(page, fmt.Sprintf("\n.B %d\n", code)) {
			t.Errorf("the man page does not say what exit code %d is", code)
		}
	}
}
